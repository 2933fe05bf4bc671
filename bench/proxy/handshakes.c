// Load: a TLS connection for each request, from several processes. Prints: requests, resumed, errors, and the times of
// all requests in microseconds, one a line.
// usage: handshakes PORT SECONDS PROCESSES full|resumed
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kMaxProcesses = 64, kMaxTimes = 1 << 16 };
struct Share {
  unsigned long requests, resumed, errors;
  unsigned times[kMaxTimes];
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static SSL_SESSION* kept;
static int keep(SSL* ssl, SSL_SESSION* session) {
  (void)ssl;
  SSL_SESSION_free(kept);
  kept = session;
  return 1;
}

static int request(SSL_CTX* context, int port, int resume, struct Share* share) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int ok = 0, one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  SSL* ssl = SSL_new(context);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (struct sockaddr*)&to, sizeof to) == 0) {
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
    if (resume && kept) SSL_set_session(ssl, kept);
    static const char kRequest[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char answer[4096];
    int seen = 0, n;
    if (SSL_connect(ssl) == 1 && SSL_write(ssl, kRequest, sizeof kRequest - 1) > 0) {
      while ((n = SSL_read(ssl, answer + seen, (int)sizeof answer - seen - 1)) > 0) seen += n;
      answer[seen] = 0;
      ok = strncmp(answer, "HTTP/1.1 200", 12) == 0 && SSL_version(ssl) == TLS1_3_VERSION;
    }
    share->resumed += (unsigned long)SSL_session_reused(ssl);
    SSL_shutdown(ssl);  // else OpenSSL takes the session for a bad one
  }
  SSL_free(ssl);
  close(fd);
  return ok;
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  int port = atoi(argv[1]), processes = atoi(argv[3]), resume = strcmp(argv[4], "resumed") == 0;
  double seconds = atof(argv[2]);
  if (processes > kMaxProcesses) processes = kMaxProcesses;
  signal(SIGPIPE, SIG_IGN);
  struct Share* shares = mmap(NULL, sizeof(struct Share) * (size_t)processes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  double until = now() + seconds;
  for (int i = 0; i < processes; ++i) {
    if (fork() != 0) continue;
    struct Share* share = &shares[i];
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (resume) {
      SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
      SSL_CTX_sess_set_new_cb(context, keep);
    }
    for (double begin = now(); begin < until;) {
      int ok = request(context, port, resume, share);
      double end = now();
      if (ok) {
        if (share->requests < kMaxTimes) share->times[share->requests] = (unsigned)((end - begin) * 1e6);
        ++share->requests;
      } else {
        ++share->errors;
        usleep(1000);
      }
      begin = end;
    }
    _exit(0);
  }
  while (wait(NULL) > 0) {
  }
  struct Share sum = {0};
  for (int i = 0; i < processes; ++i) {
    sum.requests += shares[i].requests;
    sum.resumed += shares[i].resumed;
    sum.errors += shares[i].errors;
  }
  printf("%lu %lu %lu\n", sum.requests, sum.resumed, sum.errors);
  for (int i = 0; i < processes; ++i)
    for (unsigned long j = 0; j < shares[i].requests && j < kMaxTimes; ++j) printf("%u\n", shares[i].times[j]);
  return 0;
}
