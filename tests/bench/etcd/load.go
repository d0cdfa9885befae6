// etcd-load: puts and gets against etcd through gRPC, many in flight, as flotilla-bench does against Flotilla.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

func fail(err error) {
	fmt.Fprintln(os.Stderr, "etcd-load:", err)
	os.Exit(1)
}

func main() {
	endpoints := flag.String("connect", "", "HOST:PORT[,…], the leader's first")
	op := flag.String("op", "put", "put or get")
	inFlight := flag.Int("in-flight", 1000, "requests under way")
	connections := flag.Int("connections", 8, "gRPC connections")
	valueBytes := flag.Int("value-bytes", 128, "of a put's value")
	seconds := flag.Float64("seconds", 10, "of measuring")
	keys := flag.Int("keys", 100000, "written in turn")
	flag.Parse()

	var clients []*clientv3.Client
	for i := 0; i < *connections; i++ {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: strings.Split(*endpoints, ","), DialTimeout: 5 * time.Second})
		if err != nil {
			fail(err)
		}
		clients = append(clients, client)
	}
	value := strings.Repeat("v", *valueBytes)
	var next, errors int64
	call := func(client *clientv3.Client, number int64) error {
		key := fmt.Sprintf("key-%07d", number%int64(*keys))
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		var err error
		if *op == "get" {
			_, err = client.Get(ctx, key)
		} else {
			_, err = client.Put(ctx, key, value)
		}
		return err
	}

	// Each worker has one request under way; the first second warms up.
	from := time.Now().Add(time.Second)
	until := from.Add(time.Duration(*seconds * float64(time.Second)))
	latencies := make([][]int64, *inFlight)
	var wait sync.WaitGroup
	for worker := 0; worker < *inFlight; worker++ {
		wait.Add(1)
		go func(worker int) {
			defer wait.Done()
			client := clients[worker%len(clients)]
			for {
				began := time.Now()
				if began.After(until) {
					return
				}
				err := call(client, atomic.AddInt64(&next, 1))
				ended := time.Now()
				if err != nil {
					atomic.AddInt64(&errors, 1)
				} else if ended.After(from) && ended.Before(until) {
					latencies[worker] = append(latencies[worker], ended.Sub(began).Microseconds())
				}
			}
		}(worker)
	}
	wait.Wait()

	var all []int64
	for _, one := range latencies {
		all = append(all, one...)
	}
	if len(all) == 0 {
		fail(fmt.Errorf("no request ended well, %d did not", errors))
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	at := func(share float64) int64 { return all[int(share*float64(len(all)-1))] }
	json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"opsPerSecond": int(float64(len(all)) / *seconds),
		"latencyUs":    map[string]int64{"p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1)},
		"errors":       errors,
	})
}
