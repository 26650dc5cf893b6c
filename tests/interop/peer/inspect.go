package main

import (
	"fmt"

	"github.com/hibiken/asynq"
)

// inspectRequest is one line of stdin: an operation and the fields that it needs.
type inspectRequest struct {
	Op      string `json:"op"`
	Queue   string `json:"queue"`
	State   string `json:"state"`
	ID      string `json:"id"`
	Group   string `json:"group"`
	Payload string `json:"payload"`
	Force   bool   `json:"force"` // delete_queue: also when it holds tasks
	Page    int    `json:"page"`  // list: from 1
	Size    int    `json:"size"`  // list: 30 if absent
	Days    int    `json:"days"`  // history
}

type inspectAnswer struct {
	OK     bool `json:"ok"`
	Result any  `json:"result"`
}

type inspectRefusal struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

func runInspect(args []string) error {
	flags, conn := newFlags("inspect")
	_ = flags.Parse(args)
	redis, err := conn.option()
	if err != nil {
		return err
	}
	inspector := asynq.NewInspector(redis)
	defer inspector.Close()
	return answerLines(func(line []byte) any {
		var request inspectRequest
		if err := decode(line, &request); err != nil {
			return inspectRefusal{Error: err.Error()}
		}
		result, err := request.perform(inspector)
		if err != nil {
			return inspectRefusal{Error: err.Error()}
		}
		return inspectAnswer{OK: true, Result: result}
	})
}

// perform calls the method of the Inspector that the operation names.
func (r *inspectRequest) perform(inspector *asynq.Inspector) (any, error) {
	switch r.Op {
	case "queues":
		return inspector.Queues()
	case "info":
		return view(queueView)(inspector.GetQueueInfo(r.Queue))
	case "list":
		return r.list(inspector)
	case "task":
		return view(taskView)(inspector.GetTaskInfo(r.Queue, r.ID))
	case "groups":
		return view(each(groupView))(inspector.Groups(r.Queue))
	case "history":
		return view(each(dayView))(inspector.History(r.Queue, r.Days))
	case "servers":
		return view(each(serverView))(inspector.Servers())
	case "scheduler_entries":
		return view(each(entryView))(inspector.SchedulerEntries())
	case "scheduler_events":
		return view(each(enqueueEventView))(inspector.ListSchedulerEnqueueEvents(r.ID))
	case "cluster_keyslot":
		return inspector.ClusterKeySlot(r.Queue)
	case "cluster_nodes":
		return view(each(nodeView))(inspector.ClusterNodes(r.Queue))
	case "pause":
		return nil, inspector.PauseQueue(r.Queue)
	case "unpause":
		return nil, inspector.UnpauseQueue(r.Queue)
	case "delete_queue":
		return nil, inspector.DeleteQueue(r.Queue, r.Force)
	case "run":
		return nil, inspector.RunTask(r.Queue, r.ID)
	case "archive":
		return nil, inspector.ArchiveTask(r.Queue, r.ID)
	case "delete":
		return nil, inspector.DeleteTask(r.Queue, r.ID)
	case "cancel":
		return nil, inspector.CancelProcessing(r.ID)
	case "update_payload":
		return nil, inspector.UpdateTaskPayload(r.Queue, r.ID, []byte(r.Payload))
	case "runall", "archiveall", "deleteall":
		return r.all(inspector)
	default:
		return nil, fmt.Errorf("unknown op %q", r.Op)
	}
}

// list returns a page of the tasks in a state.
func (r *inspectRequest) list(inspector *asynq.Inspector) (any, error) {
	var page []asynq.ListOption
	if r.Page != 0 {
		page = append(page, asynq.Page(r.Page))
	}
	if r.Size != 0 {
		page = append(page, asynq.PageSize(r.Size))
	}
	if r.State == "aggregating" {
		return view(each(taskView))(inspector.ListAggregatingTasks(r.Queue, r.Group, page...))
	}
	list := map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		"pending":   inspector.ListPendingTasks,
		"active":    inspector.ListActiveTasks,
		"scheduled": inspector.ListScheduledTasks,
		"retry":     inspector.ListRetryTasks,
		"archived":  inspector.ListArchivedTasks,
		"completed": inspector.ListCompletedTasks,
	}[r.State]
	if list == nil {
		return nil, fmt.Errorf("no state %q to list", r.State)
	}
	return view(each(taskView))(list(r.Queue, page...))
}

// all runs, archives or deletes every task in a state and returns their number.
func (r *inspectRequest) all(inspector *asynq.Inspector) (any, error) {
	ofGroup := func(method func(queue, group string) (int, error)) func(string) (int, error) {
		return func(queue string) (int, error) { return method(queue, r.Group) }
	}
	method := map[string]func(queue string) (int, error){
		"runall scheduled":       inspector.RunAllScheduledTasks,
		"runall retry":           inspector.RunAllRetryTasks,
		"runall archived":        inspector.RunAllArchivedTasks,
		"runall aggregating":     ofGroup(inspector.RunAllAggregatingTasks),
		"archiveall pending":     inspector.ArchiveAllPendingTasks,
		"archiveall scheduled":   inspector.ArchiveAllScheduledTasks,
		"archiveall retry":       inspector.ArchiveAllRetryTasks,
		"archiveall aggregating": ofGroup(inspector.ArchiveAllAggregatingTasks),
		"deleteall pending":      inspector.DeleteAllPendingTasks,
		"deleteall scheduled":    inspector.DeleteAllScheduledTasks,
		"deleteall retry":        inspector.DeleteAllRetryTasks,
		"deleteall archived":     inspector.DeleteAllArchivedTasks,
		"deleteall completed":    inspector.DeleteAllCompletedTasks,
		"deleteall aggregating":  ofGroup(inspector.DeleteAllAggregatingTasks),
	}[r.Op+" "+r.State]
	if method == nil {
		return nil, fmt.Errorf("Asynq cannot %s tasks in state %q", r.Op, r.State)
	}
	return method(r.Queue)
}
