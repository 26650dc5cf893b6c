package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// work runs thumbnails:make, until SIGTERM or Ctrl-C. It serves its own queue only: a name that its mux does not know would fail.
func work(redis asynq.RedisConnOpt) error {
	client := asynq.NewClient(redis)
	defer client.Close()
	server := asynq.NewServer(redis, asynq.Config{
		Concurrency:     4,
		Queues:          map[string]int{queueOfGo: 1},
		ShutdownTimeout: 30 * time.Second, // 8 unless you say so: give it the length of your longest task
	})
	mux := asynq.NewServeMux()
	mux.HandleFunc(makeThumbnail, func(ctx context.Context, task *asynq.Task) error {
		return thumbnail(ctx, client, task)
	})
	return server.Run(mux)
}

func thumbnail(ctx context.Context, client *asynq.Client, task *asynq.Task) error {
	var asked Thumbnail
	if err := json.Unmarshal(task.Payload(), &asked); err != nil {
		// What cannot be read now cannot be read later.
		return fmt.Errorf("payload of %s: %v: %w", task.Type(), err, asynq.SkipRetry)
	}
	if path.Ext(asked.Src) == ".txt" {
		return fmt.Errorf("%s is no image: %w", asked.Src, asynq.SkipRetry)
	}
	if err := resize(ctx, asked); err != nil {
		return err
	}
	small := fmt.Sprintf("%s-%d.jpg", strings.TrimSuffix(asked.Src, path.Ext(asked.Src)), asked.Width)
	if err := publish(client, asked.Photo, small); err != nil {
		return err
	}
	// What `.get()` gives in Python: JSON.
	_, err := fmt.Fprintf(task.ResultWriter(), `{"path":%q,"width":%d}`, small, asked.Width)
	return err
}

// resize stands for the work. It ends with its context: over the time limit of the call, or cancelled. Asynq's server has put the task
// back for a retry by then, whatever is returned here.
func resize(ctx context.Context, asked Thumbnail) error {
	takes := 10 * time.Millisecond
	if strings.HasPrefix(asked.Src, "huge") {
		takes = time.Minute
	}
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish goes on in Django. A second run of this task finds that it has been enqueued.
func publish(client *asynq.Client, photo int64, small string) error {
	next, err := task(publishPhoto, Publish{Photo: photo, Path: small},
		asynq.Queue(queueOfDjango), asynq.TaskID(fmt.Sprintf("publish-%d", photo)), asynq.Retention(time.Hour))
	if err != nil {
		return err
	}
	if _, err = client.Enqueue(next); errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return err
}
