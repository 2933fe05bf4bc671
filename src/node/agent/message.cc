#include "node/agent/message.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/log.h"

namespace fairlead::node {

base::Result<std::pair<io::Fd, io::Fd>> message_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return base::fail_errno("socketpair");
  return std::pair(io::Fd(fds[0]), io::Fd(fds[1]));
}

MessageChannel::MessageChannel(io::Loop& loop, io::Fd socket, OnMessage on_message, std::function<void()> on_closed)
    : loop_(loop), socket_(std::move(socket)), on_message_(std::move(on_message)), on_closed_(std::move(on_closed)) {
  ::fcntl(socket_.get(), F_SETFL, ::fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
  watch_ = std::make_unique<io::FdWatch>(loop_, socket_.get(), EPOLLIN, [this](uint32_t events) { on_events(events); });
}

MessageChannel::~MessageChannel() { *alive_ = false; }

void MessageChannel::send(const base::Value& body, std::vector<io::Fd> fds) {
  if (!socket_.valid()) return;
  std::string text = body.dump();
  uint32_t head[2] = {static_cast<uint32_t>(text.size()), static_cast<uint32_t>(fds.size())};
  Outgoing out;
  out.bytes.assign(reinterpret_cast<const char*>(head), sizeof head);
  out.bytes += text;
  out.fds = std::move(fds);
  out_.push_back(std::move(out));
  if (out_.size() == 1) flush();
}

void MessageChannel::flush() {
  while (!out_.empty()) {
    Outgoing& out = out_.front();
    iovec iov{out.bytes.data() + out.sent, out.bytes.size() - out.sent};
    msghdr header{};
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)];
    if (out.sent == 0 && !out.fds.empty()) {
      size_t bytes = sizeof(int) * out.fds.size();
      header.msg_control = control;
      header.msg_controllen = CMSG_SPACE(bytes);
      cmsghdr* c = CMSG_FIRSTHDR(&header);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(bytes);
      for (size_t i = 0; i < out.fds.size(); ++i) {
        int fd = out.fds[i].get();
        std::memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof fd);
      }
    }
    ssize_t n = ::sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return watch_->set_events(EPOLLIN | EPOLLOUT);
      loop_.defer([this, alive = alive_] {
        if (*alive) shut();
      });
      return;
    }
    out.sent += static_cast<size_t>(n);
    out.fds.clear();
    if (out.sent == out.bytes.size()) out_.pop_front();
  }
  watch_->set_events(EPOLLIN);
}

void MessageChannel::on_events(uint32_t events) {
  auto alive = alive_;
  if ((events & EPOLLOUT) && !out_.empty()) flush();
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    bool more = receive();
    if (*alive && !more) shut();
  }
}

// False when the peer is gone or talks nonsense.
bool MessageChannel::receive() {
  auto alive = alive_;
  for (;;) {
    char buffer[65536];
    iovec iov{buffer, sizeof buffer};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxMessageFds)];
    msghdr header{};
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    ssize_t n = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    if (n < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN;
    }
    if (n == 0) return false;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
      size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
        in_fds_.emplace_back(fd);
      }
    }
    in_.append(buffer, static_cast<size_t>(n));
    for (;;) {
      uint32_t head[2];
      if (in_.size() < sizeof head) break;
      std::memcpy(head, in_.data(), sizeof head);
      if (head[0] > kMaxMessageBytes || head[1] > kMaxMessageFds) return false;
      if (in_.size() < sizeof head + head[0]) break;
      Message message;
      auto body = base::parse_json(std::string_view(in_).substr(sizeof head, head[0]));
      if (!body || in_fds_.size() < head[1]) return false;
      message.body = std::move(*body);
      for (uint32_t i = 0; i < head[1]; ++i) {
        message.fds.push_back(std::move(in_fds_.front()));
        in_fds_.pop_front();
      }
      in_.erase(0, sizeof head + head[0]);
      auto callback = on_message_;  // may destroy this channel, and the callback with it
      callback(std::move(message));
      if (!*alive) return true;
    }
  }
}

void MessageChannel::shut() {
  if (!socket_.valid()) return;
  watch_.reset();
  socket_.reset();
  out_.clear();
  if (auto closed = std::move(on_closed_)) closed();  // may destroy this channel
}

}  // namespace fairlead::node
