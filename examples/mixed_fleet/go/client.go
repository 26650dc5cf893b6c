package main

import (
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// describe asks Django for something, and waits for its answer: `.delay()` and `.get()` in Go.
func describe(redis asynq.RedisConnOpt, photo int64) error {
	client := asynq.NewClient(redis)
	defer client.Close()
	asked, err := task(describePhoto, Describe{Photo: photo},
		asynq.Queue(queueOfDjango), asynq.MaxRetry(3), asynq.Timeout(20*time.Second), asynq.Retention(10*time.Minute))
	if err != nil {
		return err
	}
	info, err := client.Enqueue(asked)
	if err != nil {
		return err
	}
	result, err := wait(redis, info.Queue, info.ID, time.Minute)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", result)
	return nil
}

// wait looks until the task has ended. Without Retention it would be gone by then.
func wait(redis asynq.RedisConnOpt, queue, id string, patience time.Duration) ([]byte, error) {
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		info, err := inspector.GetTaskInfo(queue, id)
		if err != nil {
			return nil, err
		}
		switch info.State {
		case asynq.TaskStateCompleted:
			return info.Result, nil
		case asynq.TaskStateArchived:
			return nil, fmt.Errorf("task %s has failed: %s", id, info.LastErr)
		}
	}
	return nil, fmt.Errorf("task %s has not ended in %s", id, patience)
}
