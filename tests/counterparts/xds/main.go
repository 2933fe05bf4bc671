// An xDS server made of go-control-plane's snapshot cache: state of the world and delta, aggregated and a stream for each type.
//
// Reads snapshots from its input, a line of JSON each: {"node", "version", "resources": {"cds": [...], ...}}, and tells what
// the proxies say, a line each: {"port"}, {"set"}, {"open", "stream", "authority", "token", "client"}, {"ack" or "nack", "version",
// "message", "names"}. With -cert and -key it speaks TLS, with -client-ca only to clients with a certificate of that CA.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"sync"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	clusters "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpoints "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listeners "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routes "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secrets "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	status "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/encoding/protojson"
)

var kinds = map[string]struct {
	url  string
	make func() types.Resource
}{
	"cds": {resource.ClusterType, func() types.Resource { return &cluster.Cluster{} }},
	"eds": {resource.EndpointType, func() types.Resource { return &endpoint.ClusterLoadAssignment{} }},
	"lds": {resource.ListenerType, func() types.Resource { return &listener.Listener{} }},
	"rds": {resource.RouteType, func() types.Resource { return &route.RouteConfiguration{} }},
	"sds": {resource.SecretType, func() types.Resource { return &tlsv3.Secret{} }},
}

type order struct {
	Node, Version string
	Resources     map[string][]json.RawMessage
}

var output sync.Mutex

func tell(event map[string]any) {
	output.Lock()
	defer output.Unlock()
	text, _ := json.Marshal(event)
	fmt.Println(string(text))
}

// An answer to what was sent: an acknowledgement, or a refusal with its reason.
func answered(url, nonce, version string, detail *status.Status, names []string) {
	if nonce == "" {
		tell(map[string]any{"asked": url, "names": names})
	} else if detail != nil {
		tell(map[string]any{"nack": url, "version": version, "message": detail.Message})
	} else {
		tell(map[string]any{"ack": url, "version": version, "names": names})
	}
}

func snapshot(o order) (*cache.Snapshot, error) {
	all := map[resource.Type][]types.Resource{}
	for name, kind := range kinds {
		all[kind.url] = nil
		for _, text := range o.Resources[name] {
			r := kind.make()
			if err := protojson.Unmarshal(text, r); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all[kind.url] = append(all[kind.url], r)
		}
	}
	return cache.NewSnapshot(o.Version, all)
}

// A stream that was opened: by whom, and what its request said.
func opened(ctx context.Context, id int64, url string, delta bool) {
	said, _ := metadata.FromIncomingContext(ctx)
	first := func(name string) string {
		if values := said.Get(name); len(values) > 0 {
			return values[0]
		}
		return ""
	}
	event := map[string]any{"open": url, "stream": id, "authority": first(":authority"), "token": first("x-token")}
	if delta {
		event["delta"] = true
	}
	if p, ok := peer.FromContext(ctx); ok {
		if t, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			event["sni"] = t.State.ServerName
			if certificates := t.State.PeerCertificates; len(certificates) > 0 {
				event["client"] = certificates[0].Subject.CommonName
			}
		}
	}
	tell(event)
}

func secured(certificate, key, clients string) (grpc.ServerOption, error) {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != "" {
		text, err := os.ReadFile(clients)
		if err != nil {
			return nil, err
		}
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(text)
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return grpc.Creds(credentials.NewTLS(config)), nil
}

func main() {
	address := flag.String("listen", "127.0.0.1:0", "where to listen")
	ads := flag.Bool("ads", false, "hold answers until every resource of the snapshot is asked for by name")
	certificate := flag.String("cert", "", "certificate of the server: TLS")
	key := flag.String("key", "", "its key")
	clients := flag.String("client-ca", "", "CA of the clients")
	flag.Parse()
	log.SetOutput(os.Stderr)

	known := cache.NewSnapshotCache(*ads, cache.IDHash{}, nil)
	ctx := context.Background()
	s := server.NewServer(ctx, known, server.CallbackFuncs{
		StreamOpenFunc: func(ctx context.Context, id int64, url string) error {
			opened(ctx, id, url, false)
			return nil
		},
		DeltaStreamOpenFunc: func(ctx context.Context, id int64, url string) error {
			opened(ctx, id, url, true)
			return nil
		},
		StreamRequestFunc: func(_ int64, r *discovery.DiscoveryRequest) error {
			answered(r.TypeUrl, r.ResponseNonce, r.VersionInfo, r.ErrorDetail, r.ResourceNames)
			return nil
		},
		StreamDeltaRequestFunc: func(_ int64, r *discovery.DeltaDiscoveryRequest) error {
			answered(r.TypeUrl, r.ResponseNonce, "", r.ErrorDetail, r.ResourceNamesSubscribe)
			return nil
		},
	})
	var options []grpc.ServerOption
	if *certificate != "" {
		option, err := secured(*certificate, *key, *clients)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, option)
	}
	g := grpc.NewServer(options...)
	discovery.RegisterAggregatedDiscoveryServiceServer(g, s)
	clusters.RegisterClusterDiscoveryServiceServer(g, s)
	endpoints.RegisterEndpointDiscoveryServiceServer(g, s)
	listeners.RegisterListenerDiscoveryServiceServer(g, s)
	routes.RegisterRouteDiscoveryServiceServer(g, s)
	secrets.RegisterSecretDiscoveryServiceServer(g, s)
	network, at := "tcp", *address
	if path, ok := strings.CutPrefix(at, "unix:"); ok {
		network, at = "unix", path
	}
	socket, err := net.Listen(network, at)
	if err != nil {
		log.Fatal(err)
	}
	port := 0
	if tcp, ok := socket.Addr().(*net.TCPAddr); ok {
		port = tcp.Port
	}
	tell(map[string]any{"port": port})

	go func() {
		lines := bufio.NewReader(os.Stdin)
		for {
			text, err := lines.ReadBytes('\n')
			if err != nil {
				os.Exit(0) // who started it is gone
			}
			var o order
			if err = json.Unmarshal(text, &o); err == nil {
				var made *cache.Snapshot
				if made, err = snapshot(o); err == nil {
					err = known.SetSnapshot(ctx, o.Node, made)
				}
			}
			if err != nil {
				tell(map[string]any{"error": err.Error()})
			} else {
				tell(map[string]any{"set": o.Version})
			}
		}
	}()
	log.Fatal(g.Serve(socket))
}
