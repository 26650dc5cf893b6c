package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hibiken/asynq"
)

// workFlags are the settings of the server; the zero of a time leaves Asynq's own default.
type workFlags struct {
	queues                                 string
	concurrency, groupMaxSize, servers     int
	strict, untilEOF                       bool
	retryDelayMS, shutdownMS               int64
	groupGraceMS, groupMaxDelayMS          int64
	delayedCheckMS, taskCheckMS, janitorMS int64
}

func runWork(args []string) error {
	flags, conn := newFlags("work")
	var set workFlags
	flags.StringVar(&set.queues, "queues", "default=1", "names and weights: q=1,p=2")
	flags.IntVar(&set.concurrency, "concurrency", 10, "tasks at a time")
	flags.BoolVar(&set.strict, "strict", false, "strict priority")
	flags.Int64Var(&set.retryDelayMS, "retry-delay-ms", -1, "delay of every retry; below 0: Asynq's formula")
	flags.Int64Var(&set.shutdownMS, "shutdown-ms", 0, "time that running tasks have after SIGTERM")
	flags.Int64Var(&set.groupGraceMS, "group-grace-ms", 0, "aggregate groups after this quiet time (at least 1000)")
	flags.Int64Var(&set.groupMaxDelayMS, "group-max-delay-ms", 0, "aggregate a group at the latest after this time")
	flags.IntVar(&set.groupMaxSize, "group-max-size", 0, "aggregate a group of this size at once")
	flags.Int64Var(&set.delayedCheckMS, "delayed-check-ms", 0, "interval of the forwarder")
	flags.Int64Var(&set.taskCheckMS, "task-check-ms", 0, "interval of the polls of an empty queue")
	flags.Int64Var(&set.janitorMS, "janitor-ms", 0, "interval of the janitor")
	flags.IntVar(&set.servers, "servers", 1, "so many servers in this process, each with its own connections")
	flags.BoolVar(&set.untilEOF, "until-eof", false, "also stop when stdin ends, so that a dead parent leaves no worker")
	_ = flags.Parse(args)

	if set.servers < 1 {
		return fmt.Errorf("--servers must be at least 1")
	}
	redis, err := conn.option()
	if err != nil {
		return err
	}
	config, err := set.config()
	if err != nil {
		return err
	}
	servers := make([]*asynq.Server, set.servers)
	for i := range servers {
		servers[i] = asynq.NewServer(redis, config)
	}
	if err := servers[0].Ping(); err != nil { // Start would try for ever and say nothing
		return err
	}
	stop := stopRequests(set.untilEOF)
	for _, server := range servers {
		if err := server.Start(asynq.HandlerFunc(handle)); err != nil {
			return err
		}
	}
	emit(map[string]any{"event": "ready", "pid": os.Getpid()})
	<-stop
	shutDown(servers)
	emit(map[string]any{"event": "stopped"})
	return nil
}

// shutDown stops all of them side by side: each takes a while.
func shutDown(servers []*asynq.Server) {
	var group sync.WaitGroup
	for _, server := range servers {
		group.Add(1)
		go func() {
			defer group.Done()
			server.Shutdown()
		}()
	}
	group.Wait()
}

func (f *workFlags) config() (asynq.Config, error) {
	queues, err := parseQueues(f.queues)
	if err != nil {
		return asynq.Config{}, err
	}
	config := asynq.Config{
		Concurrency:              f.concurrency,
		Queues:                   queues,
		StrictPriority:           f.strict,
		ShutdownTimeout:          milliseconds(f.shutdownMS),
		DelayedTaskCheckInterval: milliseconds(f.delayedCheckMS),
		TaskCheckInterval:        milliseconds(f.taskCheckMS),
		JanitorInterval:          milliseconds(f.janitorMS),
	}
	if f.retryDelayMS >= 0 {
		config.RetryDelayFunc = func(int, error, *asynq.Task) time.Duration { return milliseconds(f.retryDelayMS) }
	}
	if f.groupGraceMS != 0 {
		if f.groupGraceMS < 1000 {
			return asynq.Config{}, fmt.Errorf("--group-grace-ms %d: Asynq wants at least 1000", f.groupGraceMS)
		}
		config.GroupAggregator = asynq.GroupAggregatorFunc(aggregate)
		config.GroupGracePeriod = milliseconds(f.groupGraceMS)
		config.GroupMaxDelay = milliseconds(f.groupMaxDelayMS)
		config.GroupMaxSize = f.groupMaxSize
	}
	return config, nil
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// parseQueues reads "q=1,p=2"; a name without a weight has weight 1.
func parseQueues(text string) (map[string]int, error) {
	queues := map[string]int{}
	for _, item := range strings.Split(text, ",") {
		name, weight := item, 1
		if at := strings.LastIndex(item, "="); at >= 0 {
			number, err := strconv.Atoi(item[at+1:])
			if err != nil {
				return nil, fmt.Errorf("--queues: %q is no weight", item[at+1:])
			}
			name, weight = item[:at], number
		}
		queues[name] = weight
	}
	return queues, nil
}

// stopRequests is closed or sent to when the worker should stop.
func stopRequests(untilEOF bool) <-chan os.Signal {
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	if untilEOF {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop <- syscall.SIGTERM
		}()
	}
	return stop
}

// taskEvent is the line at the start and at the end of each run of a task.
type taskEvent struct {
	Event    string            `json:"event"`
	Type     string            `json:"type"`
	Payload  string            `json:"payload"`
	ID       string            `json:"id"`
	Queue    string            `json:"queue"`
	Retried  int               `json:"retried"`
	MaxRetry int               `json:"max_retry"`
	Headers  map[string]string `json:"headers"`
	At       float64           `json:"at"`              // Unix time
	Error    string            `json:"error,omitempty"` // at the end: what the handler returned, or its panic
}

// handle runs every task, of whatever type, as its payload says.
func handle(ctx context.Context, task *asynq.Task) (err error) {
	id, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	retried, _ := asynq.GetRetryCount(ctx)
	maxRetry, _ := asynq.GetMaxRetry(ctx)
	event := taskEvent{
		Event: "start", Type: task.Type(), Payload: string(task.Payload()), ID: id, Queue: queue,
		Retried: retried, MaxRetry: maxRetry, Headers: task.Headers(), At: unixNow(),
	}
	if event.Headers == nil {
		event.Headers = map[string]string{}
	}
	emit(event)
	defer func() {
		event.Event, event.At = "end", unixNow()
		cause := recover()
		switch {
		case cause != nil:
			event.Error = fmt.Sprintf("panic: %v", cause)
		case err != nil:
			event.Error = err.Error()
		}
		emit(event)
		if cause != nil {
			panic(cause)
		}
	}()
	return behave(ctx, task, retried)
}

func unixNow() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

// behave does what the field "go" of a JSON payload asks for; any other payload succeeds.
func behave(ctx context.Context, task *asynq.Task, retried int) error {
	var payload struct{ Go string }
	_ = json.Unmarshal(task.Payload(), &payload) // not an object, or not JSON at all: "ok"
	verb, argument, _ := strings.Cut(payload.Go, ":")
	switch verb {
	case "", "ok":
		return nil
	case "fail": // "fail:2" fails the first two runs only
		if runs, err := strconv.Atoi(argument); err == nil && retried >= runs {
			return nil
		}
		return fmt.Errorf("boom")
	case "skip":
		return fmt.Errorf("boom: %w", asynq.SkipRetry)
	case "revoke":
		return fmt.Errorf("boom: %w", asynq.RevokeTask)
	case "panic":
		panic("boom")
	case "result":
		_, err := task.ResultWriter().Write([]byte(argument))
		return err
	case "sleep":
		ms, err := strconv.ParseInt(argument, 10, 64)
		if err != nil {
			return fmt.Errorf("sleep: %w", err)
		}
		select {
		case <-time.After(milliseconds(ms)):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	default:
		return fmt.Errorf("the peer cannot %q: %w", payload.Go, asynq.SkipRetry)
	}
}

// aggregate makes one task of a group; its payload is the JSON array of the payloads, each as a string.
func aggregate(group string, tasks []*asynq.Task) *asynq.Task {
	payloads := make([]string, len(tasks))
	for i, task := range tasks {
		payloads[i] = string(task.Payload())
	}
	joined, err := json.Marshal(payloads)
	if err != nil {
		panic(err) // strings always encode
	}
	return asynq.NewTask("aggregated:"+group, joined)
}
