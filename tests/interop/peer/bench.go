package main

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
)

// benchFlags are the flags that the three benchmarks share.
type benchFlags struct {
	queue       string
	taskType    string
	count       int
	goroutines  int
	concurrency int
	intervalMS  int64
}

// parseBench reads the flags of a benchmark and returns how to connect.
func parseBench(name string, args []string) (benchFlags, asynq.RedisConnOpt, error) {
	flags, conn := newFlags(name)
	var set benchFlags
	flags.StringVar(&set.queue, "queue", "default", "queue")
	flags.StringVar(&set.taskType, "type", "bench:noop", "type of the tasks")
	flags.IntVar(&set.count, "count", 1000, "number of tasks")
	flags.IntVar(&set.goroutines, "goroutines", 1, "bench-enqueue: goroutines that share one client")
	flags.IntVar(&set.concurrency, "concurrency", 20, "bench-drain, bench-latency: concurrency of the server")
	flags.Int64Var(&set.intervalMS, "interval-ms", 1000, "bench-latency: time between two tasks")
	_ = flags.Parse(args)
	if set.count < 1 || set.goroutines < 1 {
		return set, nil, fmt.Errorf("--count and --goroutines must be at least 1")
	}
	redis, err := conn.option()
	return set, redis, err
}

func (f *benchFlags) server(redis asynq.RedisConnOpt) *asynq.Server {
	return asynq.NewServer(redis, asynq.Config{
		Concurrency: f.concurrency,
		Queues:      map[string]int{f.queue: 1},
		LogLevel:    asynq.WarnLevel,
	})
}

// emitSeconds prints the outcome of a benchmark of throughput.
func (f *benchFlags) emitSeconds(elapsed time.Duration) {
	emit(fields{"seconds": elapsed.Seconds(), "count": f.count, "per_second": float64(f.count) / elapsed.Seconds()})
}

// runBenchEnqueue measures how long `count` tasks without a payload take to be enqueued.
func runBenchEnqueue(args []string) error {
	set, redis, err := parseBench("bench-enqueue", args)
	if err != nil {
		return err
	}
	client := asynq.NewClient(redis)
	defer client.Close()
	if err := client.Ping(); err != nil { // the connection is no part of the measurement
		return err
	}
	var next atomic.Int64
	failures := make(chan error, set.goroutines)
	var group sync.WaitGroup
	began := time.Now()
	for range set.goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			for next.Add(1) <= int64(set.count) {
				if _, err := client.Enqueue(asynq.NewTask(set.taskType, nil), asynq.Queue(set.queue)); err != nil {
					failures <- err
					return
				}
			}
		}()
	}
	group.Wait()
	elapsed := time.Since(began)
	close(failures)
	if err, failed := <-failures; failed {
		return err
	}
	set.emitSeconds(elapsed)
	return nil
}

// runBenchDrain measures the time from the start of a server until it has run `count` waiting no-op tasks.
func runBenchDrain(args []string) error {
	set, redis, err := parseBench("bench-drain", args)
	if err != nil {
		return err
	}
	var handled atomic.Int64
	done := make(chan time.Time, 1)
	server := set.server(redis)
	began := time.Now()
	err = server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		if handled.Add(1) == int64(set.count) {
			done <- time.Now()
		}
		return nil
	}))
	if err != nil {
		return err
	}
	elapsed := (<-done).Sub(began)
	server.Shutdown()
	set.emitSeconds(elapsed)
	return nil
}

// runBenchLatency measures the time from the call of Enqueue to the start of the handler, on a server that is idle.
//
// The payload is the moment of the call on the process's monotonic clock, so the queue must be empty before.
func runBenchLatency(args []string) error {
	set, redis, err := parseBench("bench-latency", args)
	if err != nil {
		return err
	}
	client := asynq.NewClient(redis)
	defer client.Close()
	latencies := make(chan time.Duration, set.count)
	server := set.server(redis)
	began := time.Now()
	err = server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		started := time.Since(began)
		enqueued, err := strconv.ParseInt(string(task.Payload()), 10, 64)
		if err != nil {
			return fmt.Errorf("not a task of this benchmark: %w", asynq.SkipRetry)
		}
		latencies <- started - time.Duration(enqueued)
		return nil
	}))
	if err != nil {
		return err
	}
	defer server.Shutdown()
	for range set.count {
		time.Sleep(milliseconds(set.intervalMS))
		called := strconv.FormatInt(time.Since(began).Nanoseconds(), 10)
		if _, err := client.Enqueue(asynq.NewTask(set.taskType, []byte(called)), asynq.Queue(set.queue)); err != nil {
			return err
		}
	}
	emit(latencySummary(latencies, set.count))
	return nil
}

// latencySummary waits for `count` latencies and condenses them.
func latencySummary(latencies <-chan time.Duration, count int) fields {
	measured := make([]float64, count)
	for i := range measured {
		measured[i] = float64((<-latencies).Microseconds()) / 1000
	}
	sort.Float64s(measured)
	return fields{
		"count":     count,
		"median_ms": measured[count/2],
		"p99_ms":    measured[count*99/100],
		"max_ms":    measured[count-1],
	}
}
