// Package provider serves stand-ins for Pulumi provider plugins, in this process, for machines where the real plugins
// cannot be had. A stand-in makes the calls that the plugin would make and refuses what it does not know.
package provider

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// Server is a provider that an engine reaches by PULUMI_DEBUG_PROVIDERS=PACKAGE:PORT.
type Server struct {
	port int
	stop func()
	done <-chan error
}

// Port returns the loopback port of the provider.
func (s *Server) Port() int { return s.port }

// Close stops the provider after the calls that are under way; a second call does nothing.
func (s *Server) Close() error {
	s.stop()
	return <-s.done
}

// Serve serves providers on a free loopback port until ctx is done or the server is closed. Each connection has a
// provider of its own, as each provider resource of a program has a plugin process of its own.
func Serve(ctx context.Context, newProvider func() plugin.Provider) (*Server, error) {
	cancel := make(chan bool)
	stop := sync.OnceFunc(func() { close(cancel) })
	instances := &instances{fresh: newProvider, byPeer: map[string]pulumirpc.ResourceProviderServer{}}
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: cancel,
		Init: func(s *grpc.Server) error {
			s.RegisterService(instances.service(), pulumirpc.UnimplementedResourceProviderServer{})
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("serving a provider: %w", err)
	}
	context.AfterFunc(ctx, stop)
	return &Server{port: handle.Port, stop: stop, done: handle.Done}, nil
}

// instances are the providers by the connection that they belong to.
type instances struct {
	fresh  func() plugin.Provider
	mu     sync.Mutex
	byPeer map[string]pulumirpc.ResourceProviderServer
	last   pulumirpc.ResourceProviderServer
}

// service returns the gRPC service, each method of which is handed to the connection's provider.
func (i *instances) service() *grpc.ServiceDesc {
	desc := pulumirpc.ResourceProvider_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	for n, method := range desc.Methods {
		desc.Methods[n].Handler = func(_ any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			return method.Handler(i.of(ctx, method.MethodName), ctx, decode, intercept)
		}
	}
	return &desc
}

// of returns the provider of the call's connection. An engine opens with Handshake or Attach; a connection that does
// not is one that gRPC opened again after it was idle, and gets the provider configured last.
func (i *instances) of(ctx context.Context, method string) pulumirpc.ResourceProviderServer {
	i.mu.Lock()
	defer i.mu.Unlock()
	address := ""
	if p, ok := peer.FromContext(ctx); ok {
		address = p.Addr.String()
	}
	if known, ok := i.byPeer[address]; ok {
		return known
	}
	if opening := method == "Handshake" || method == "Attach"; opening || i.last == nil {
		i.last = detailed{plugin.NewProviderServer(i.fresh())}
	}
	i.byPeer[address] = i.last
	return i.last
}

// detailed says of a diff that it is a detailed one, which the SDK's server (3.256.0) leaves out. Without that the engine
// does not tell what a refresh found.
type detailed struct {
	pulumirpc.ResourceProviderServer
}

func (d detailed) Diff(ctx context.Context, r *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	diff, err := d.ResourceProviderServer.Diff(ctx, r)
	if diff != nil {
		diff.HasDetailedDiff = len(diff.DetailedDiff) > 0
	}
	return diff, err
}
