package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/hibiken/asynq"
)

// connection holds the flags that every sub-command has.
type connection struct {
	redis    string
	username string
	password string
}

// newFlags returns the flag set of a sub-command with the connection's flags in it.
func newFlags(name string) (*flag.FlagSet, *connection) {
	flags := flag.NewFlagSet(name, flag.ExitOnError)
	conn := &connection{}
	flags.StringVar(&conn.redis, "redis", "127.0.0.1:6379", "host:port, cluster:a,b,c, /path/to/socket or a redis:// URI")
	flags.StringVar(&conn.username, "username", "", "user of the server or of the cluster")
	flags.StringVar(&conn.password, "password", "", "password of the server or of the cluster")
	return flags, conn
}

// option turns the flags into what Asynq's constructors take.
func (c *connection) option() (asynq.RedisConnOpt, error) {
	switch {
	case strings.HasPrefix(c.redis, "cluster:"):
		addresses := strings.Split(strings.TrimPrefix(c.redis, "cluster:"), ",")
		return asynq.RedisClusterClientOpt{Addrs: addresses, Username: c.username, Password: c.password}, nil
	case strings.HasPrefix(c.redis, "/"):
		return asynq.RedisClientOpt{Network: "unix", Addr: c.redis, Username: c.username, Password: c.password}, nil
	case strings.Contains(c.redis, "://"):
		if c.password != "" {
			return nil, errors.New("give the password in the URI, not by --password")
		}
		return asynq.ParseRedisURI(c.redis)
	default:
		return asynq.RedisClientOpt{Addr: c.redis, Username: c.username, Password: c.password}, nil
	}
}

var stdout sync.Mutex

// emit writes one JSON line; lines of several goroutines never mix.
func emit(value any) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err) // only a programming error of the peer gets here
	}
	stdout.Lock()
	defer stdout.Unlock()
	if _, err := os.Stdout.Write(line.Bytes()); err != nil {
		fmt.Fprintf(os.Stderr, "peer: stdout is closed: %v\n", err)
		os.Exit(1)
	}
}

// answerLines answers each non-blank line of stdin with one line, until stdin ends.
func answerLines(answer func(line []byte) any) error {
	input := bufio.NewReader(os.Stdin)
	for {
		line, err := input.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) > 0 {
			emit(answer(line))
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// decode reads a request strictly: a misspelt field of a test is an error, not a silent default.
func decode(line []byte, request any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	return decoder.Decode(request)
}
