package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/hibiken/asynq"
)

// What the two sides agree on: the names of the tasks, their queues, and the fields of their payloads.
const (
	makeThumbnail  = "thumbnails:make" // runs in Go
	publishPhoto   = "photos:publish"  // runs in Django
	describePhoto  = "photos:describe" // runs in Django
	queueOfGo      = "thumbnails"
	queueOfDjango  = "photos"
	defaultAddress = "redis://127.0.0.1:6379"
)

// Thumbnail is the payload of thumbnails:make: the arguments of Django's call, by name.
type Thumbnail struct {
	Photo int64  `json:"photo"`
	Src   string `json:"src"`
	Width int    `json:"width"`
}

// Publish is the payload of photos:publish: the parameters of Django's function, by name.
type Publish struct {
	Photo int64  `json:"photo"`
	Path  string `json:"path"`
}

// Describe is the payload of photos:describe.
type Describe struct {
	Photo int64 `json:"photo"`
}

// broker is the same as Django's: TASKFLOW_BROKER.
func broker() (asynq.RedisConnOpt, error) {
	address := os.Getenv("TASKFLOW_BROKER")
	if address == "" {
		address = defaultAddress
	}
	return asynq.ParseRedisURI(address)
}

// task makes a task of a payload; options are those of the call.
func task(name string, payload any, options ...asynq.Option) (*asynq.Task, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, fmt.Errorf("payload of %s: %w", name, err)
	}
	return asynq.NewTask(name, body, options...), nil
}
