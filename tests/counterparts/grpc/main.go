// gRPC's Go library on both sides of a proxy.
//
//	grpc serve [-cert FILE -key FILE]     an origin; prints its port, ends gracefully on SIGTERM
//	grpc call -to HOST:PORT [-ca FILE]    goes through every case and prints {"case": "what went wrong, or nothing"}
//	grpc load -to HOST:PORT [-ca FILE]    calls without end from eight sides, until its input ends; prints {"good": n, "bad": [...]}
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Messages are bytes, as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte{}, data...)
	return nil
}
func (raw) Name() string { return "raw" }

const (
	service = "/counterparts.v1.Echo/"
	large   = 9 << 20
)

// ------------------------------------------------------------------------------------------------------------ origin

type origin struct {
	cancelled atomic.Int64 // calls that ended because their caller went or their time was over
	deadline  atomic.Int64 // calls that had one
}

func (o *origin) unary(ctx context.Context, in []byte) ([]byte, error) {
	meta, _ := metadata.FromIncomingContext(ctx)
	switch text := string(in); {
	case text == "fail":
		s, _ := status.New(codes.FailedPrecondition, "told to: 100% ü").WithDetails(&errdetails.ErrorInfo{Reason: "TOLD_TO", Domain: "counterparts", Metadata: map[string]string{"k": "v"}})
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-after", "failure"))
		return nil, s.Err()
	case text == "wait":
		if _, ok := ctx.Deadline(); ok {
			o.deadline.Add(1)
		}
		<-ctx.Done()
		o.cancelled.Add(1)
		return nil, ctx.Err()
	case text == "seen":
		return fmt.Appendf(nil, "%d %d", o.cancelled.Load(), o.deadline.Load()), nil
	case text == "meta":
		_ = grpc.SetHeader(ctx, metadata.Pairs("x-before", "1", "x-before", "2", "x-bytes-bin", string([]byte{0, 255, 10})))
		_ = grpc.SetTrailer(ctx, metadata.Pairs("x-after", "last", "x-after-bin", string([]byte{1, 2, 3, 254})))
		return []byte(strings.Join(meta.Get("x-mine"), ",") + "|" + strings.Join(meta.Get("x-mine-bin"), ",")), nil
	}
	return in, nil
}

func (o *origin) stream(kind string) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) error {
		_ = s.SendHeader(metadata.Pairs("x-kind", kind)) // at once, before there is a message
		s.SetTrailer(metadata.Pairs("x-after", kind))
		total, first := 0, []byte{}
		for n := 0; ; n++ {
			var in []byte
			err := s.RecvMsg(&in)
			if err == io.EOF {
				break
			}
			if err != nil {
				o.cancelled.Add(1)
				return err
			}
			if n == 0 {
				first = in
			}
			total += len(in)
			if kind == "Both" {
				if string(in) == "fail" {
					return status.Error(codes.Aborted, "in the middle")
				}
				if err := s.SendMsg(&in); err != nil {
					o.cancelled.Add(1)
					return err
				}
			}
			if kind == "Down" {
				break
			}
		}
		switch kind {
		case "Up":
			out := fmt.Appendf(nil, "%d", total)
			return s.SendMsg(&out)
		case "Down":
			count := 0
			_, _ = fmt.Sscan(string(first), &count)
			for i := 0; i < count; i++ {
				out := fmt.Appendf(nil, "%d", i)
				if err := s.SendMsg(&out); err != nil {
					o.cancelled.Add(1)
					return err
				}
			}
		}
		return nil
	}
}

func serve(arguments []string) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	cert := flags.String("cert", "", "certificate chain")
	key := flags.String("key", "", "private key")
	listen := flags.String("listen", "127.0.0.1:0", "where to listen")
	_ = flags.Parse(arguments)
	options := []grpc.ServerOption{grpc.ForceServerCodec(raw{}), grpc.MaxRecvMsgSize(2 * large), grpc.MaxSendMsgSize(2 * large),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true})}
	if *cert != "" {
		c, err := credentials.NewServerTLSFromFile(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(c))
	}
	o := &origin{}
	s := grpc.NewServer(options...)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "counterparts.v1.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in []byte
			if err := decode(&in); err != nil {
				return nil, err
			}
			out, err := o.unary(ctx, in)
			return &out, err
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Up", Handler: o.stream("Up"), ClientStreams: true}, {StreamName: "Down", Handler: o.stream("Down"), ServerStreams: true},
			{StreamName: "Both", Handler: o.stream("Both"), ClientStreams: true, ServerStreams: true}},
	}, nil)
	socket, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(socket.Addr().(*net.TCPAddr).Port)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go func() {
		<-stop
		s.GracefulStop()
	}()
	if err := s.Serve(socket); err != nil {
		log.Fatal(err)
	}
}

// ------------------------------------------------------------------------------------------------------------ caller

type caller struct{ *grpc.ClientConn }

func (c caller) unary(ctx context.Context, in string, options ...grpc.CallOption) (string, error) {
	request, response := []byte(in), []byte{}
	err := c.Invoke(ctx, service+"Unary", &request, &response, options...)
	return string(response), err
}

func (c caller) open(ctx context.Context, method string) (grpc.ClientStream, error) {
	return c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: method != "Down", ServerStreams: method != "Up"}, service+method)
}

func send(s grpc.ClientStream, text string) error {
	b := []byte(text)
	return s.SendMsg(&b)
}

func receive(s grpc.ClientStream) (string, error) {
	var b []byte
	err := s.RecvMsg(&b)
	return string(b), err
}

func want(what string, got, wanted any) error {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		return fmt.Errorf("%s: %v, not %v", what, got, wanted)
	}
	return nil
}

func seen(c caller) (cancelled, deadlines int) {
	text, _ := c.unary(context.Background(), "seen")
	_, _ = fmt.Sscan(text, &cancelled, &deadlines)
	return
}

// The origin hears of what the caller did, soon.
func until(f func() bool) bool {
	for i := 0; i < 500; i++ {
		if f() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

var cases = map[string]func(context.Context, caller) error{
	"unary": func(ctx context.Context, c caller) error {
		out, err := c.unary(ctx, "hello")
		return errors.Join(err, want("answer", out, "hello"))
	},
	"an empty message": func(ctx context.Context, c caller) error {
		out, err := c.unary(ctx, "")
		return errors.Join(err, want("answer", out, ""))
	},
	"metadata both ways": func(ctx context.Context, c caller) error {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-mine", "a", "x-mine", "b", "x-mine-bin", "\x00\xff\n")
		var header, trailer metadata.MD
		out, err := c.unary(ctx, "meta", grpc.Header(&header), grpc.Trailer(&trailer))
		return errors.Join(err, want("what the origin saw", out, "a,b|\x00\xff\n"), want("x-before", header.Get("x-before"), []string{"1", "2"}),
			want("x-bytes-bin", header.Get("x-bytes-bin"), []string{"\x00\xff\n"}), want("x-after", trailer.Get("x-after"), []string{"last"}),
			want("x-after-bin", trailer.Get("x-after-bin"), []string{"\x01\x02\x03\xfe"}))
	},
	"status details": func(ctx context.Context, c caller) error {
		var trailer metadata.MD
		_, err := c.unary(ctx, "fail", grpc.Trailer(&trailer))
		s := status.Convert(err)
		found := errors.Join(want("code", s.Code(), codes.FailedPrecondition), want("message", s.Message(), "told to: 100% ü"), want("x-after", trailer.Get("x-after"), []string{"failure"}))
		if len(s.Details()) != 1 {
			return errors.Join(found, fmt.Errorf("details: %v", s.Details()))
		}
		info, _ := s.Details()[0].(*errdetails.ErrorInfo)
		if !proto.Equal(info, &errdetails.ErrorInfo{Reason: "TOLD_TO", Domain: "counterparts", Metadata: map[string]string{"k": "v"}}) {
			return errors.Join(found, fmt.Errorf("details: %v", info))
		}
		return found
	},
	"an unknown method": func(ctx context.Context, c caller) error {
		request, response := []byte{}, []byte{}
		return want("code", status.Code(c.Invoke(ctx, service+"None", &request, &response)), codes.Unimplemented)
	},
	"client streaming": func(ctx context.Context, c caller) error {
		s, err := c.open(ctx, "Up")
		if err != nil {
			return err
		}
		for i := 0; i < 1000; i++ {
			if err := send(s, strings.Repeat("x", i)); err != nil {
				return err
			}
		}
		if err := s.CloseSend(); err != nil {
			return err
		}
		out, err := receive(s)
		return errors.Join(err, want("sum", out, 999*1000/2), want("trailer", s.Trailer().Get("x-after"), []string{"Up"}))
	},
	"server streaming": func(ctx context.Context, c caller) error {
		s, err := c.open(ctx, "Down")
		if err != nil {
			return err
		}
		if err := errors.Join(send(s, "2000"), s.CloseSend()); err != nil {
			return err
		}
		for i := 0; i < 2000; i++ {
			if out, err := receive(s); err != nil || out != fmt.Sprint(i) {
				return fmt.Errorf("message %d: %q, %v", i, out, err)
			}
		}
		_, err = receive(s)
		return errors.Join(want("end", err, io.EOF), want("trailer", s.Trailer().Get("x-after"), []string{"Down"}))
	},
	"streaming both ways, in turn": func(ctx context.Context, c caller) error {
		s, err := c.open(ctx, "Both")
		if err != nil {
			return err
		}
		header, err := s.Header() // there before the first message either way
		if err != nil {
			return err
		}
		for i := 0; i < 200; i++ {
			if err := send(s, fmt.Sprint(i)); err != nil {
				return err
			}
			if out, err := receive(s); err != nil || out != fmt.Sprint(i) {
				return fmt.Errorf("message %d: %q, %v", i, out, err)
			}
		}
		_ = s.CloseSend()
		_, err = receive(s)
		return errors.Join(want("end", err, io.EOF), want("header", header.Get("x-kind"), []string{"Both"}))
	},
	"streaming both ways, at once": func(ctx context.Context, c caller) error {
		s, err := c.open(ctx, "Both")
		if err != nil {
			return err
		}
		body := strings.Repeat("0123456789abcdef", 4096)
		go func() {
			for i := 0; i < 200; i++ {
				_ = send(s, body)
			}
			_ = s.CloseSend()
		}()
		for i := 0; i < 200; i++ {
			if out, err := receive(s); err != nil || out != body {
				return fmt.Errorf("message %d: %d bytes, %v", i, len(out), err)
			}
		}
		_, err = receive(s)
		return want("end", err, io.EOF)
	},
	"a failure in the middle of a stream": func(ctx context.Context, c caller) error {
		s, err := c.open(ctx, "Both")
		if err != nil {
			return err
		}
		_ = send(s, "a")
		out, err := receive(s)
		if err := errors.Join(err, want("first", out, "a"), send(s, "fail")); err != nil {
			return err
		}
		_, err = receive(s)
		return errors.Join(want("code", status.Code(err), codes.Aborted), want("message", status.Convert(err).Message(), "in the middle"))
	},
	"a deadline": func(ctx context.Context, c caller) error {
		cancelled, deadlines := seen(c)
		short, end := context.WithTimeout(ctx, 300*time.Millisecond)
		defer end()
		started := time.Now()
		_, err := c.unary(short, "wait")
		took := time.Since(started)
		found := want("code", status.Code(err), codes.DeadlineExceeded)
		if took < 200*time.Millisecond || took > 5*time.Second {
			found = errors.Join(found, fmt.Errorf("it took %v", took))
		}
		if !until(func() bool { a, b := seen(c); return a > cancelled && b > deadlines }) {
			found = errors.Join(found, errors.New("the origin did not see the deadline"))
		}
		return found
	},
	"cancellation": func(ctx context.Context, c caller) error {
		cancelled, _ := seen(c)
		short, end := context.WithCancel(ctx)
		time.AfterFunc(100*time.Millisecond, end)
		_, err := c.unary(short, "wait")
		found := want("code", status.Code(err), codes.Canceled)
		if !until(func() bool { a, _ := seen(c); return a > cancelled }) {
			found = errors.Join(found, errors.New("the origin did not hear of it"))
		}
		return found
	},
	"cancellation of a stream": func(ctx context.Context, c caller) error {
		cancelled, _ := seen(c)
		short, end := context.WithCancel(ctx)
		s, err := c.open(short, "Both")
		if err != nil {
			return err
		}
		_ = send(s, "a")
		_, err = receive(s)
		end()
		if !until(func() bool { a, _ := seen(c); return a > cancelled }) {
			return errors.Join(err, errors.New("the origin did not hear of it"))
		}
		return err
	},
	"large messages": func(ctx context.Context, c caller) error {
		body := string(bytes.Repeat([]byte("fairlead"), large/8))
		out, err := c.unary(ctx, body)
		if err == nil && out != body {
			err = fmt.Errorf("%d bytes came back, of %d", len(out), len(body))
		}
		return err
	},
	"compression": func(ctx context.Context, c caller) error {
		body := strings.Repeat("compressible ", 10000)
		out, err := c.unary(ctx, body, grpc.UseCompressor(gzip.Name))
		return errors.Join(err, want("size", len(out), len(body)))
	},
	"a hundred calls at once": func(ctx context.Context, c caller) error {
		var group sync.WaitGroup
		found := make(chan error, 100)
		for i := 0; i < 100; i++ {
			group.Go(func() {
				out, err := c.unary(ctx, fmt.Sprint(i))
				if err := errors.Join(err, want("answer", out, fmt.Sprint(i))); err != nil {
					found <- err
				}
			})
		}
		group.Wait()
		close(found)
		return <-found
	},
}

func connect(arguments []string) caller {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	to := flags.String("to", "", "HOST:PORT")
	ca := flags.String("ca", "", "certificates to trust; none: plain text")
	_ = flags.Parse(arguments)
	transport := insecure.NewCredentials()
	if *ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(*ca, "localhost"); err != nil {
			log.Fatal(err)
		}
	}
	c, err := grpc.NewClient("passthrough:///"+*to, grpc.WithTransportCredentials(transport), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(2*large), grpc.MaxCallSendMsgSize(2*large)))
	if err != nil {
		log.Fatal(err)
	}
	return caller{c}
}

func call(arguments []string) {
	c := connect(arguments)
	results := map[string]string{}
	for name, run := range cases {
		ctx, end := context.WithTimeout(context.Background(), 20*time.Second)
		results[name] = ""
		if err := run(ctx, c); err != nil {
			results[name] = err.Error()
		}
		end()
	}
	_ = json.NewEncoder(os.Stdout).Encode(results)
}

func load(arguments []string) {
	c := connect(arguments)
	var good atomic.Int64
	var lock sync.Mutex
	bad := []string{}
	var over atomic.Bool
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for !over.Load() {
				ctx, end := context.WithTimeout(context.Background(), 10*time.Second)
				out, err := c.unary(ctx, "load")
				end()
				if err == nil && out == "load" {
					good.Add(1)
					continue
				}
				lock.Lock()
				bad = append(bad, fmt.Sprint(err))
				lock.Unlock()
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	over.Store(true)
	group.Wait()
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"good": good.Load(), "bad": bad})
}

func main() {
	log.SetOutput(os.Stderr)
	if len(os.Args) < 2 {
		log.Fatal("serve, call or load")
	}
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2:])
	case "call":
		call(os.Args[2:])
	case "load":
		load(os.Args[2:])
	default:
		log.Fatal("serve, call or load")
	}
}
