// Command server runs the tutorial's tasks, until Ctrl-C.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"

	"github.com/hibiken/asynq"

	"taskflow.example/tutorial/tasks"
)

func main() {
	server := asynq.NewServer(tasks.Cluster(), asynq.Config{
		Concurrency: 20,
		Queues: map[string]int{
			tasks.QueueNotifications: 1,
			tasks.QueueWebhooks:      1,
			tasks.QueueImages:        1,
		},
	})

	mux := asynq.NewServeMux()
	mux.HandleFunc(tasks.TypeEmail, sendEmail)
	mux.HandleFunc(tasks.TypeWebhook, syncWebhook)
	mux.HandleFunc(tasks.TypeResize, resizeImage)

	if err := server.Run(mux); err != nil {
		log.Fatal(err)
	}
}

func sendEmail(ctx context.Context, task *asynq.Task) error {
	var email tasks.Email
	if err := decode(task, &email); err != nil {
		return err
	}
	report(ctx, task, "sent an email to %d from %d", email.To, email.From)
	return nil
}

func syncWebhook(ctx context.Context, task *asynq.Task) error {
	var webhook tasks.Webhook
	if err := decode(task, &webhook); err != nil {
		return err
	}
	report(ctx, task, "synced the webhook data %d", webhook.Data)
	return nil
}

func resizeImage(ctx context.Context, task *asynq.Task) error {
	var resize tasks.Resize
	if err := decode(task, &resize); err != nil {
		return err
	}
	report(ctx, task, "resized the image %s", resize.Src)
	return nil
}

// decode reads the payload; what cannot be read now cannot be read later, so it is not retried.
func decode(task *asynq.Task, payload any) error {
	if err := json.Unmarshal(task.Payload(), payload); err != nil {
		return fmt.Errorf("payload of %s: %v: %w", task.Type(), err, asynq.SkipRetry)
	}
	return nil
}

func report(ctx context.Context, task *asynq.Task, format string, arguments ...any) {
	id, _ := asynq.GetTaskID(ctx)
	fmt.Printf("%s: %s (id=%s)\n", task.Type(), fmt.Sprintf(format, arguments...), id)
}
