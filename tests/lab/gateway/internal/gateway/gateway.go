// Copyright (c) 2026 tyk.upgrade contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package gateway is the data plane's server: it loads APIs, serves them, reloads and stops.
package gateway

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"

	"github.com/TykTechnologies/tyk/internal/analytics"
	"github.com/TykTechnologies/tyk/internal/behaviour"
	"github.com/TykTechnologies/tyk/internal/bundle"
	"github.com/TykTechnologies/tyk/internal/config"
	"github.com/TykTechnologies/tyk/internal/rpc"
	"github.com/TykTechnologies/tyk/log"
)

func mainLog() *logrus.Entry { return log.Get().WithField("prefix", "main") }

// Gateway is one process.
type Gateway struct {
	config    config.Config
	behaviour behaviour.Behaviour
	redis     redis.UniversalClient
	rpc       *rpc.Client // nil without RPC
	backup    rpc.Backup
	bundles   *bundle.Store
	analytics *analytics.Recorder
	transport *http.Transport
	health    *health
	reloads   *reloader

	apis     atomic.Pointer[routes]
	loads    atomic.Int64 // successful ones
	stopping atomic.Bool
	servers  []*http.Server
	sockets  []net.Listener
}

// New prepares a gateway; Run makes it serve.
func New(c config.Config, b behaviour.Behaviour) *Gateway {
	store := redis.NewClient(&redis.Options{
		Addr: c.Storage.Address(), Username: c.Storage.Username, Password: c.Storage.Password, DB: c.Storage.Database,
		DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, MaxRetries: -1, PoolSize: 50,
	})
	g := &Gateway{
		config: c, behaviour: b, redis: store,
		backup:  rpc.Backup{Redis: store, Secret: c.Secret, Tags: c.Tags()},
		bundles: &bundle.Store{Config: c, Behaviour: b},
		transport: &http.Transport{
			MaxIdleConns: 500, MaxIdleConnsPerHost: 500, IdleConnTimeout: 90 * time.Second,
			DialContext: (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		},
	}
	g.analytics = &analytics.Recorder{Redis: store, Config: c}
	g.health = newHealth(g)
	g.reloads = newReloader(time.Duration(c.ReloadInterval)*time.Second, g.load)
	g.apis.Store(&routes{})
	return g
}

// Run serves until a signal ends it.
func (g *Gateway) Run() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if g.config.SlaveOptions.UseRPC {
		if err := g.connect(); err != nil {
			return err
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT)
	// Neither does anything here: SIGHUP is ignored, a hand-over by SIGUSR2 is not stood in for.
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR2)

	failed := make(chan error, 2)
	if err := g.listen(failed); err != nil {
		return err
	}
	go g.health.run(ctx)
	go g.analytics.Run(ctx)
	go g.start(ctx)

	select {
	case err := <-failed:
		return err
	case received := <-signals:
		mainLog().Infof("Shutdown signal received: %s", received)
		g.stop()
		return nil
	}
}

// connect begins to talk to MDCB. Some releases wait until it is there, and signals end them as they do any program.
func (g *Gateway) connect() error {
	if g.config.SlaveOptions.APIKey == "" {
		return fmt.Errorf("slave_options.api_key is not set")
	}
	g.rpc = rpc.New(g.config, g.behaviour)
	g.rpc.OnRecovered = func() { g.reloads.queue(nil) }
	g.analytics.Sender = g.rpc
	if g.behaviour.StartNeedsMDCB {
		g.rpc.WaitForConnection()
	}
	return nil
}

// start loads the APIs after the listener is up; from a control plane that takes a moment.
func (g *Gateway) start(ctx context.Context) {
	go g.subscribe(ctx)
	if g.rpc != nil {
		time.Sleep(g.behaviour.APIsAfterListen)
	}
	g.load()
	if g.rpc != nil {
		g.rpc.Run(ctx, g.publishReload)
	}
	g.reloads.run(ctx)
}

func (g *Gateway) listen(failed chan<- error) error {
	control := g.config.ControlAPIPort
	shared := control == 0 || control == g.config.ListenPort
	main := g.mainHandler(shared)
	handlers := map[int]http.Handler{g.config.ListenPort: main}
	if !shared {
		handlers[control] = g.controlHandler(http.NotFoundHandler())
	}
	for port, handler := range handlers {
		server := &http.Server{Addr: fmt.Sprintf("%s:%d", g.config.ListenAddress, port), Handler: handler, ReadTimeout: 120 * time.Second}
		listener, err := net.Listen("tcp", server.Addr)
		if err != nil {
			return err
		}
		g.servers, g.sockets = append(g.servers, server), append(g.sockets, listener)
		go func() {
			if err := server.Serve(listener); err != http.ErrServerClosed && !g.stopping.Load() {
				failed <- err
			}
		}()
		mainLog().Infof("--> Listening on address: %s", listener.Addr())
	}
	mainLog().Infof("Tyk Gateway started (%s)", g.behaviour.Reported)
	return nil
}

// stop waits for running requests where the version does. Before, listeners are closed and what
// still runs a second later is cut. Buffered analytics are not flushed in either case.
func (g *Gateway) stop() {
	g.stopping.Store(true)
	if g.behaviour.Graceful {
		limit := time.Duration(g.config.GracefulShutdownTimeoutDuration) * time.Second
		mainLog().Infof("Gracefully shutting down services, for %s at most...", limit)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		var waiting sync.WaitGroup
		for _, server := range g.servers {
			waiting.Add(1)
			go func(server *http.Server) {
				defer waiting.Done()
				_ = server.Shutdown(ctx)
			}(server)
		}
		waiting.Wait()
	} else {
		mainLog().Info("Stop signal received.")
		for _, socket := range g.sockets {
			_ = socket.Close()
		}
	}
	if g.rpc != nil {
		g.rpc.Disconnect()
	}
	if !g.behaviour.Graceful {
		time.Sleep(time.Second)
	}
	mainLog().Info("Terminating.")
}
