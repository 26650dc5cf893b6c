// Command client puts the tutorial's three tasks into their queues.
package main

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/hibiken/asynq"

	"taskflow.example/tutorial/tasks"
)

func main() {
	client := asynq.NewClient(tasks.Cluster())
	defer client.Close()

	enqueue(client, tasks.QueueNotifications, tasks.TypeEmail, tasks.Email{To: 123, From: 456})
	enqueue(client, tasks.QueueWebhooks, tasks.TypeWebhook, tasks.Webhook{Data: 123})
	enqueue(client, tasks.QueueImages, tasks.TypeResize, tasks.Resize{Src: "some/path/to/image"})
}

func enqueue(client *asynq.Client, queue, taskType string, arguments any) {
	payload, err := json.Marshal(arguments)
	if err != nil {
		log.Fatalf("%s: %v", taskType, err)
	}
	info, err := client.Enqueue(asynq.NewTask(taskType, payload), asynq.Queue(queue))
	if err != nil {
		log.Fatalf("%s: %v", taskType, err)
	}
	fmt.Printf("enqueued %s %s: id=%s queue=%s\n", info.Type, info.Payload, info.ID, info.Queue)
}
