// Command peer is the real Asynq on the other side of taskflow's interoperability tests.
//
// Python drives it through argv and JSON lines: requests on stdin, answers and events on stdout, Asynq's own log on
// stderr. It holds no logic of its own, so that what a test sees is what Asynq does.
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"
)

// commands are the sub-commands; each gets the arguments after its name.
var commands = map[string]func(args []string) error{
	"enqueue":       runEnqueue,
	"work":          runWork,
	"inspect":       runInspect,
	"bench-enqueue": runBenchEnqueue,
	"bench-drain":   runBenchDrain,
	"bench-latency": runBenchLatency,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		names := make([]string, 0, len(commands))
		for name := range commands {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "usage: peer %s --redis ADDRESS ...\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "peer %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
}
