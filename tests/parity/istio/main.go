// Command istio answers, on behalf of Istio's own discovery server, what proxies are told for given YAML; and serves it.
//
// It reads one JSON request a line from stdin and writes one JSON answer a line to stdout; what it has started ends with
// stdin. A world is a set of resources: Istio's ("config"), Kubernetes' ("kubernetes"), a MeshConfig ("mesh"). Istio keeps
// some of a mesh's settings in globals, so one process is for one MeshConfig.
//
//	{"op":"dump", ...world, "proxies":[{"id":"a.default","type":"sidecar","ip":"10.1.1.1","namespace":"default","labels":{}}]}
//	    -> {"proxies":[{"clusters":[],"listeners":[],"routes":[],"endpoints":[]}]}
//	{"op":"serve", ...world, "listen":"127.0.0.1:0"}   -> {"address":"127.0.0.1:34567"}   ADS, delta and state of the world
//	{"op":"stop", "address":"127.0.0.1:34567"}         -> {}
//
// An answer with "error" says why there is no other.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/log"
	"istio.io/istio/pkg/test"
)

type node struct {
	ID        string            `json:"id"`
	Type      string            `json:"type"`
	IP        string            `json:"ip"`
	Namespace string            `json:"namespace"`
	Labels    map[string]string `json:"labels"`
}

type request struct {
	Op         string `json:"op"`
	Config     string `json:"config"`
	Kubernetes string `json:"kubernetes"`
	Mesh       string `json:"mesh"`
	Proxies    []node `json:"proxies"`
	Listen     string `json:"listen"`
	Address    string `json:"address"`
}

type resources map[string][]json.RawMessage

type answer struct {
	Error   string      `json:"error,omitempty"`
	Address string      `json:"address,omitempty"`
	Proxies []resources `json:"proxies,omitempty"`
}

func (r request) options() (xds.FakeOptions, error) {
	// Secrets are handed to whoever asks: there is no Kubernetes here that could say who may read them.
	out := xds.FakeOptions{KubernetesObjectString: r.Kubernetes, DisableSecretAuthorization: true}
	if r.Config != "" {
		configs, unknown, err := crd.ParseInputs(r.Config)
		if err != nil {
			return out, err
		}
		if len(unknown) > 0 {
			return out, errors.New("Istio has no kind " + unknown[0].Kind)
		}
		for i := range configs {
			configs[i].Domain = "cluster.local" // completes short names of hosts
		}
		out.Configs = configs
	}
	if r.Mesh == "" {
		return out, nil
	}
	m, err := mesh.ApplyMeshConfigDefaults(r.Mesh)
	out.MeshConfig = m
	return out, err
}

func add[M proto.Message](out resources, kind string, messages []M) error {
	list := []json.RawMessage{}
	for _, message := range messages {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
		if err != nil {
			return err
		}
		list = append(list, text)
	}
	out[kind] = list
	return nil
}

func (n node) resources(server *xds.FakeDiscoveryServer) (resources, error) {
	proxy := &model.Proxy{
		ID:              n.ID,
		Type:            model.SidecarProxy,
		IPAddresses:     []string{n.IP},
		Labels:          n.Labels,
		ConfigNamespace: n.Namespace,
		Metadata:        &model.NodeMetadata{Namespace: n.Namespace, Labels: n.Labels},
	}
	if n.Type == "router" {
		proxy.Type = model.Router
	}
	proxy = server.SetupProxy(proxy)
	out := resources{}
	return out, errors.Join(
		add(out, "clusters", server.Clusters(proxy)),
		add(out, "listeners", server.Listeners(proxy)),
		add(out, "routes", server.Routes(proxy)),
		add(out, "endpoints", server.Endpoints(proxy)))
}

func dump(r request) (out answer, err error) {
	options, err := r.options()
	if err != nil {
		return out, err
	}
	var inner error
	err = test.Wrap(func(t test.Failer) {
		server := xds.NewFakeDiscoveryServer(t, options)
		for _, n := range r.Proxies {
			var one resources
			if one, inner = n.resources(server); inner != nil {
				return
			}
			out.Proxies = append(out.Proxies, one)
		}
	})
	return out, errors.Join(err, inner)
}

type service struct {
	stop    chan struct{}
	stopped chan struct{}
}

type services map[string]service

func (s services) serve(r request) (answer, error) {
	options, err := r.options()
	if err != nil {
		return answer{}, err
	}
	listener, err := net.Listen("tcp", r.Listen)
	if err != nil {
		return answer{}, err
	}
	options.ListenerBuilder = func() (net.Listener, error) { return listener, nil }
	one := service{stop: make(chan struct{}), stopped: make(chan struct{})}
	ready, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(one.stopped)
		if err := test.Wrap(func(t test.Failer) {
			xds.NewFakeDiscoveryServer(t, options)
			close(ready)
			<-one.stop
		}); err != nil {
			failed <- err
		}
	}()
	select {
	case err := <-failed:
		listener.Close()
		return answer{}, err
	case <-ready:
	}
	address := listener.Addr().String()
	s[address] = one
	return answer{Address: address}, nil
}

func (s services) end(address string) (answer, error) {
	one, ok := s[address]
	if !ok {
		return answer{}, errors.New("nothing is served on " + address)
	}
	delete(s, address)
	close(one.stop)
	<-one.stopped
	return answer{}, nil
}

func run(in io.Reader, out io.Writer) error {
	served := services{}
	lines := bufio.NewReader(in)
	encoder := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var r request
		var a answer
		if err = json.Unmarshal(line, &r); err == nil {
			switch r.Op {
			case "dump":
				a, err = dump(r)
			case "serve":
				a, err = served.serve(r)
			case "stop":
				a, err = served.end(r.Address)
			default:
				err = errors.New("op is dump, serve or stop")
			}
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		if err := encoder.Encode(a); err != nil {
			return err
		}
	}
}

func main() {
	options := log.DefaultOptions()
	options.OutputPaths = []string{"stderr"}
	level := log.NoneLevel
	if slices.Contains(os.Args[1:], "-v") {
		level = log.InfoLevel
	}
	options.SetDefaultOutputLevel(log.OverrideScopeName, level)
	if err := log.Configure(options); err != nil {
		panic(err)
	}
	if err := run(os.Stdin, os.Stdout); err != nil {
		panic(err)
	}
}
