// Package tasks is what the tutorial's client and server agree on: the names, the payloads and the cluster.
package tasks

import (
	"os"
	"strings"

	"github.com/hibiken/asynq"
)

// The types of the tasks.
const (
	TypeEmail   = "notifications:email"
	TypeWebhook = "webhooks:sync"
	TypeResize  = "images:resize"
)

// The queues; each lives in one hash slot of the cluster.
const (
	QueueNotifications = "notifications"
	QueueWebhooks      = "webhooks"
	QueueImages        = "images"
)

// Email is the payload of a notifications:email task.
type Email struct {
	To   int `json:"to"`
	From int `json:"from"`
}

// Webhook is the payload of a webhooks:sync task.
type Webhook struct {
	Data int `json:"data"`
}

// Resize is the payload of an images:resize task.
type Resize struct {
	Src string `json:"src"`
}

// Cluster returns the nodes to start from: TASKFLOW_TUTORIAL_ADDRS, or 127.0.0.1:7000 to 127.0.0.1:7005.
func Cluster() asynq.RedisClusterClientOpt {
	addresses := os.Getenv("TASKFLOW_TUTORIAL_ADDRS")
	if addresses == "" {
		addresses = "127.0.0.1:7000,127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003,127.0.0.1:7004,127.0.0.1:7005"
	}
	return asynq.RedisClusterClientOpt{Addrs: strings.Split(addresses, ",")}
}
