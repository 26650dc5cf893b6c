package main

import (
	"errors"
	"time"

	"github.com/hibiken/asynq"
)

// enqueueRequest is one line of stdin. An option that is absent is not passed to Asynq.
type enqueueRequest struct {
	Type          string            `json:"type"`
	Payload       *string           `json:"payload"` // absent: nil, which has another unique key than ""
	Queue         *string           `json:"queue"`
	ID            *string           `json:"id"`
	MaxRetry      *int              `json:"max_retry"`
	TimeoutMS     *int64            `json:"timeout_ms"`
	DeadlineUnix  *int64            `json:"deadline_unix"`
	UniqueMS      *int64            `json:"unique_ms"`
	ProcessInMS   *int64            `json:"process_in_ms"`
	ProcessAtUnix *int64            `json:"process_at_unix"`
	RetentionMS   *int64            `json:"retention_ms"`
	Group         *string           `json:"group"`
	Headers       map[string]string `json:"headers"`
}

type enqueueAnswer struct {
	OK    bool   `json:"ok"`
	ID    string `json:"id"`
	Queue string `json:"queue"`
	State string `json:"state"`
}

type enqueueRefusal struct {
	OK        bool   `json:"ok"`
	Error     string `json:"error"`
	Duplicate bool   `json:"duplicate"` // the unique lock is held
	Conflict  bool   `json:"conflict"`  // the task id is taken
}

func runEnqueue(args []string) error {
	flags, conn := newFlags("enqueue")
	_ = flags.Parse(args)
	redis, err := conn.option()
	if err != nil {
		return err
	}
	client := asynq.NewClient(redis)
	defer client.Close()
	return answerLines(func(line []byte) any {
		info, err := enqueue(client, line)
		if err != nil {
			return enqueueRefusal{
				Error:     err.Error(),
				Duplicate: errors.Is(err, asynq.ErrDuplicateTask),
				Conflict:  errors.Is(err, asynq.ErrTaskIDConflict),
			}
		}
		return enqueueAnswer{OK: true, ID: info.ID, Queue: info.Queue, State: info.State.String()}
	})
}

func enqueue(client *asynq.Client, line []byte) (*asynq.TaskInfo, error) {
	var request enqueueRequest
	if err := decode(line, &request); err != nil {
		return nil, err
	}
	return client.Enqueue(request.task(), request.options()...)
}

func (r *enqueueRequest) task() *asynq.Task {
	var payload []byte
	if r.Payload != nil {
		payload = []byte(*r.Payload)
	}
	if r.Headers != nil {
		return asynq.NewTaskWithHeaders(r.Type, payload, r.Headers)
	}
	return asynq.NewTask(r.Type, payload)
}

func (r *enqueueRequest) options() []asynq.Option {
	var options []asynq.Option
	options = appendOption(options, r.Queue, asynq.Queue)
	options = appendOption(options, r.ID, asynq.TaskID)
	options = appendOption(options, r.MaxRetry, asynq.MaxRetry)
	options = appendOption(options, r.TimeoutMS, inMilliseconds(asynq.Timeout))
	options = appendOption(options, r.DeadlineUnix, atUnix(asynq.Deadline))
	options = appendOption(options, r.UniqueMS, inMilliseconds(asynq.Unique))
	options = appendOption(options, r.ProcessInMS, inMilliseconds(asynq.ProcessIn))
	options = appendOption(options, r.ProcessAtUnix, atUnix(asynq.ProcessAt))
	options = appendOption(options, r.RetentionMS, inMilliseconds(asynq.Retention))
	return appendOption(options, r.Group, asynq.Group)
}

func appendOption[T any](options []asynq.Option, value *T, option func(T) asynq.Option) []asynq.Option {
	if value == nil {
		return options
	}
	return append(options, option(*value))
}

func inMilliseconds(option func(time.Duration) asynq.Option) func(int64) asynq.Option {
	return func(ms int64) asynq.Option { return option(time.Duration(ms) * time.Millisecond) }
}

func atUnix(option func(time.Time) asynq.Option) func(int64) asynq.Option {
	return func(seconds int64) asynq.Option { return option(time.Unix(seconds, 0)) }
}
