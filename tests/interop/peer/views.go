package main

import (
	"time"

	"github.com/hibiken/asynq"
)

// fields is a JSON object. Times in it are Unix seconds, null for never.
type fields map[string]any

// view applies a view to what a method of the Inspector returned, unless that is an error.
func view[T any](show func(T) any) func(T, error) (any, error) {
	return func(value T, err error) (any, error) {
		if err != nil {
			return nil, err
		}
		return show(value), nil
	}
}

// each makes the view of a list out of the view of its items; an empty list is [] and never null.
func each[T any](show func(T) any) func([]T) any {
	return func(items []T) any {
		shown := make([]any, 0, len(items))
		for _, item := range items {
			shown = append(shown, show(item))
		}
		return shown
	}
}

func unix(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.Unix()
}

func headersView(headers map[string]string) map[string]string {
	if headers == nil {
		return map[string]string{}
	}
	return headers
}

func taskView(t *asynq.TaskInfo) any {
	return fields{
		"id":              t.ID,
		"queue":           t.Queue,
		"type":            t.Type,
		"payload":         string(t.Payload),
		"headers":         headersView(t.Headers),
		"state":           t.State.String(),
		"max_retry":       t.MaxRetry,
		"retried":         t.Retried,
		"last_err":        t.LastErr,
		"last_failed_at":  unix(t.LastFailedAt),
		"timeout_s":       t.Timeout.Seconds(),
		"deadline":        unix(t.Deadline),
		"group":           t.Group,
		"next_process_at": unix(t.NextProcessAt),
		"is_orphaned":     t.IsOrphaned,
		"retention_s":     t.Retention.Seconds(),
		"completed_at":    unix(t.CompletedAt),
		"result":          string(t.Result),
	}
}

func queueView(q *asynq.QueueInfo) any {
	return fields{
		"queue":           q.Queue,
		"memory_usage":    q.MemoryUsage,
		"latency_s":       q.Latency.Seconds(),
		"size":            q.Size,
		"groups":          q.Groups,
		"pending":         q.Pending,
		"active":          q.Active,
		"scheduled":       q.Scheduled,
		"retry":           q.Retry,
		"archived":        q.Archived,
		"completed":       q.Completed,
		"aggregating":     q.Aggregating,
		"processed":       q.Processed,
		"failed":          q.Failed,
		"processed_total": q.ProcessedTotal,
		"failed_total":    q.FailedTotal,
		"paused":          q.Paused,
		"timestamp":       unix(q.Timestamp),
	}
}

func groupView(g *asynq.GroupInfo) any {
	return fields{"group": g.Group, "size": g.Size}
}

func dayView(d *asynq.DailyStats) any {
	return fields{"queue": d.Queue, "date": d.Date.Format(time.DateOnly), "processed": d.Processed, "failed": d.Failed}
}

func nodeView(n *asynq.ClusterNode) any {
	return fields{"id": n.ID, "addr": n.Addr}
}

func serverView(s *asynq.ServerInfo) any {
	return fields{
		"id":             s.ID,
		"host":           s.Host,
		"pid":            s.PID,
		"concurrency":    s.Concurrency,
		"queues":         s.Queues,
		"strict":         s.StrictPriority,
		"status":         s.Status,
		"started":        unix(s.Started),
		"active_workers": each(workerView)(s.ActiveWorkers),
	}
}

func workerView(w *asynq.WorkerInfo) any {
	return fields{
		"task_id":  w.TaskID,
		"type":     w.TaskType,
		"payload":  string(w.TaskPayload),
		"queue":    w.Queue,
		"started":  unix(w.Started),
		"deadline": unix(w.Deadline),
	}
}

func entryView(e *asynq.SchedulerEntry) any {
	options := make([]string, 0, len(e.Opts))
	for _, option := range e.Opts {
		options = append(options, option.String())
	}
	return fields{
		"id":      e.ID,
		"spec":    e.Spec,
		"type":    e.Task.Type(),
		"payload": string(e.Task.Payload()),
		"options": options,
		"next":    unix(e.Next),
		"prev":    unix(e.Prev),
	}
}

func enqueueEventView(e *asynq.SchedulerEnqueueEvent) any {
	return fields{"task_id": e.TaskID, "enqueued_at": unix(e.EnqueuedAt)}
}
