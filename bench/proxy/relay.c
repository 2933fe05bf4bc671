// The floor under every proxy's figure: a bare relay of bytes between each client and a connection of its own to the
// origin. One thread, epoll, one read and one write for each piece; no look at what passes.
// usage: relay LISTEN_PORT ORIGIN_PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kMaxFds = 65536, kPiece = 65536 };
static int peer_of[kMaxFds];
static char piece[kPiece];

static struct sockaddr_in at(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return a;
}

static void end(int fd) {
  int other = peer_of[fd];
  close(fd);
  if (other > 0) close(other), peer_of[other] = 0;
  peer_of[fd] = 0;
}

// A slow reader is waited for: this is a floor, not a proxy.
static int write_all(int fd, const char* from, ssize_t n) {
  while (n > 0) {
    ssize_t sent = send(fd, from, (size_t)n, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) return -1;
      fd_set writable;
      if (fd >= FD_SETSIZE) return -1;
      FD_ZERO(&writable);
      FD_SET(fd, &writable);
      select(fd + 1, NULL, &writable, NULL, NULL);
      continue;
    }
    from += sent;
    n -= sent;
  }
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  int one = 1, listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in here = at(atoi(argv[1])), origin = at(atoi(argv[2]));
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listening, (struct sockaddr*)&here, sizeof here) || listen(listening, 1024)) return perror("relay"), 1;
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listening}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
  for (;;) {
    int n = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < n; ++i) {
      int fd = events[i].data.fd;
      if (fd == listening) {
        int client;
        while ((client = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          int upstream = socket(AF_INET, SOCK_STREAM, 0);
          if (client >= kMaxFds || upstream >= kMaxFds || connect(upstream, (struct sockaddr*)&origin, sizeof origin)) {
            close(client);
            close(upstream);
            continue;
          }
          setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          setsockopt(upstream, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          peer_of[client] = upstream;
          peer_of[upstream] = client;
          event.data.fd = client;
          epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
          event.data.fd = upstream;
          epoll_ctl(epoll, EPOLL_CTL_ADD, upstream, &event);
        }
        continue;
      }
      if (!peer_of[fd]) continue;  // closed earlier in this round
      ssize_t got = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
      if (got > 0 ? write_all(peer_of[fd], piece, got) != 0 : got == 0 || errno != EAGAIN) end(fd);
    }
  }
}
