// The part of the fleet that is written in Go: `go run . worker`, or `go run . describe 1`.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/hibiken/asynq"
)

func main() {
	log.SetFlags(0)
	redis, err := broker()
	if err != nil {
		log.Fatal(err)
	}
	if err = run(redis, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(redis asynq.RedisConnOpt, arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "worker":
		return work(redis)
	case len(arguments) == 2 && arguments[0] == "describe":
		photo, err := strconv.ParseInt(arguments[1], 10, 64)
		if err != nil {
			return err
		}
		return describe(redis, photo)
	}
	return fmt.Errorf("usage: worker | describe PHOTO")
}
