// Asynq's own web page on queues that taskflow serves: go run . -redis redis://127.0.0.1:6379
//
// The program that asynqmon itself brings listens on every address and asks nobody for a password. This one listens on
// loopback, and has the Asynq release that taskflow's storage is made for.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
)

func main() {
	uri := flag.String("redis", "redis://127.0.0.1:6379", "one server: redis://:password@host:port/0")
	nodes := flag.String("cluster", "", "a cluster instead: host:port,host:port")
	user := flag.String("user", "", "a user of the server or the cluster, as of 'taskflow acl'")
	password := flag.String("password", "", "its password")
	listen := flag.String("listen", "127.0.0.1:8080", "where to serve the page")
	write := flag.Bool("write", false, "let the page pause, run, archive and delete")
	flag.Parse()

	var server asynq.RedisConnOpt
	var err error
	if *nodes != "" {
		server = asynq.RedisClusterClientOpt{Addrs: strings.Split(*nodes, ","), Username: *user, Password: *password}
	} else if server, err = asynq.ParseRedisURI(*uri); err != nil {
		log.Fatal(err)
	}
	// Asynq's own URIs have no place for a user.
	if one, ok := server.(asynq.RedisClientOpt); ok && *user != "" {
		one.Username, one.Password = *user, *password
		server = one
	}
	page := asynqmon.New(asynqmon.Options{RedisConnOpt: server, ReadOnly: !*write})
	defer page.Close()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("http://%s", listener.Addr())
	log.Fatal(http.Serve(listener, page))
}
