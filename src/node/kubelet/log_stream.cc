#include "node/kubelet/log_stream.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include <array>

#include "base/file.h"
#include "base/strings.h"
#include "node/kubelet/pod_worker.h"

namespace fairlead::node {

using base::Code;
using base::fail;

bool parse_cri_line(std::string_view line, CriLine& out) {
  size_t a = line.find(' ');
  size_t b = a == std::string_view::npos ? a : line.find(' ', a + 1);
  size_t c = b == std::string_view::npos ? b : line.find(' ', b + 1);
  if (c == std::string_view::npos) return false;
  out.time = line.substr(0, a);
  out.stream = line.substr(a + 1, b - a - 1);
  out.whole = line.substr(b + 1, c - b - 1) != "P";
  out.text = line.substr(c + 1);
  return true;
}

size_t tail_offset(std::string_view text, int64_t lines) {
  if (lines <= 0) return text.size();
  // From the end: a line of the log ends with a record of tag F; records of tag P before it belong to it.
  size_t at = text.size();
  int64_t seen = 0;
  while (at > 0) {
    size_t end = at - 1;  // its newline
    size_t begin = end == 0 ? std::string_view::npos : text.rfind('\n', end - 1);
    begin = begin == std::string_view::npos ? 0 : begin + 1;
    CriLine line;
    bool whole = !parse_cri_line(text.substr(begin, end - begin), line) || line.whole;
    if (whole && ++seen > lines) return at;
    at = begin;
  }
  return 0;
}

namespace {

constexpr size_t kReadBytes = 64 * 1024;

class FileStream final : public api::LogStream {
 public:
  FileStream(io::Loop& loop, std::string path, const api::LogOptions& options, api::LogSink sink)
      : loop_(loop), path_(std::move(path)), options_(options), sink_(std::move(sink)), alive_(std::make_shared<bool>(true)) {
    if (options_.limit_bytes) budget_ = *options_.limit_bytes;
  }
  ~FileStream() override { *alive_ = false; }

  base::Status begin(PodWorker* follow, const std::string& container) {
    file_ = io::Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file_.valid() && errno != ENOENT) return base::fail_errno("cannot read the log " + path_);
    if (options_.tail_lines) skip_to_tail();
    if (follow) {
      watch();
      end_ = follow->on_container_end([this, container](const std::string& name) {
        if (name == container) ended_ = true, pump();
      });
    }
    following_ = follow != nullptr;
    loop_.post([this, alive = alive_] {
      if (*alive) pump();
    });
    return {};
  }

 private:
  void watch() {
    notify_ = io::Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!notify_.valid()) return;
    // The folder, not the file: it may not be there yet.
    std::string folder = path_.substr(0, path_.rfind('/'));
    if (::inotify_add_watch(notify_.get(), folder.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) return;
    notify_watch_ = std::make_unique<io::FdWatch>(loop_, notify_.get(), EPOLLIN, [this](uint32_t) {
      std::array<char, 4096> buffer;
      while (::read(notify_.get(), buffer.data(), buffer.size()) > 0) {
      }
      pump();
    });
  }

  void skip_to_tail() {
    // Without a limit only the newest rotation matters; older parts are read when the tail reaches into them.
    std::string text = read_rest();
    int64_t lines = *options_.tail_lines;
    size_t from = tail_offset(text, lines);
    if (from == 0 && lines > 0) {
      if (io::Fd older(::open((path_ + ".1").c_str(), O_RDONLY | O_CLOEXEC)); older.valid()) {
        std::swap(older, file_);
        std::string before = read_rest();
        std::swap(older, file_);
        text = before + text;
        from = tail_offset(text, lines);
      }
    }
    carry_ = text.substr(from);
  }

  std::string read_rest() {
    std::string text;
    std::array<char, kReadBytes> buffer;
    ssize_t n;
    while (file_.valid() && (n = ::read(file_.get(), buffer.data(), buffer.size())) > 0) text.append(buffer.data(), static_cast<size_t>(n));
    return text;
  }

  // Reads what is there and hands on whole records.
  void pump() {
    auto alive = alive_;
    if (done_) return;
    for (;;) {
      if (!file_.valid()) file_ = io::Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
      std::array<char, kReadBytes> buffer;
      ssize_t n = file_.valid() ? ::read(file_.get(), buffer.data(), buffer.size()) : 0;
      if (n > 0) carry_.append(buffer.data(), static_cast<size_t>(n));
      deliver();
      if (!*alive || done_) return;
      if (n > 0) continue;
      if (!reopened()) break;
    }
    if (!following_ || ended_) finish();
  }

  // Rotation copies the file and cuts it to nothing: what was read already is gone from it then.
  bool reopened() {
    struct stat now {};
    if (!file_.valid() || ::fstat(file_.get(), &now) != 0) return false;
    if (now.st_size >= ::lseek(file_.get(), 0, SEEK_CUR)) return false;
    ::lseek(file_.get(), 0, SEEK_SET);
    return now.st_size > 0;
  }

  void deliver() {
    std::string out;
    size_t at = 0, newline;
    while ((newline = carry_.find('\n', at)) != std::string::npos) {
      std::string_view record = std::string_view(carry_).substr(at, newline - at);
      at = newline + 1;
      CriLine line;
      if (!parse_cri_line(record, line)) continue;
      if (options_.since && line_begins_) {
        auto time = base::parse_rfc3339(line.time);
        skipping_ = time && *time < *options_.since;
      }
      if (!skipping_) {
        if (options_.timestamps && line_begins_) {
          out += line.time;
          out += ' ';
        }
        out += line.text;
        if (line.whole) out += '\n';
      }
      line_begins_ = line.whole;
    }
    carry_.erase(0, at);
    if (out.empty()) return;
    if (budget_ >= 0) {
      if (static_cast<int64_t>(out.size()) > budget_) out.resize(static_cast<size_t>(budget_));
      budget_ -= static_cast<int64_t>(out.size());
    }
    auto alive = alive_;
    if (!out.empty() && sink_.on_data) sink_.on_data(out);
    if (*alive && budget_ == 0) finish();
  }

  void finish() {
    if (done_) return;
    done_ = true;
    notify_watch_.reset();
    loop_.post([this, alive = alive_] {
      if (*alive && sink_.on_end) sink_.on_end();
    });
  }

  io::Loop& loop_;
  const std::string path_;
  const api::LogOptions options_;
  api::LogSink sink_;
  io::Fd file_, notify_;
  std::unique_ptr<io::FdWatch> notify_watch_;
  std::shared_ptr<PodWorker::EndCallback> end_;
  std::string carry_;
  int64_t budget_ = -1;
  bool following_ = false, ended_ = false, done_ = false, line_begins_ = true, skipping_ = false;
  std::shared_ptr<bool> alive_;
};

}  // namespace

void rotate_log(const std::string& path, int64_t limit_bytes) {
  struct stat now {};
  if (::stat(path.c_str(), &now) != 0 || now.st_size <= limit_bytes) return;
  io::Fd from(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  io::Fd to(::open((path + ".1").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!from.valid() || !to.valid()) return;
  std::array<char, kReadBytes> buffer;
  ssize_t n;
  while ((n = ::read(from.get(), buffer.data(), buffer.size())) > 0)
    if (::write(to.get(), buffer.data(), static_cast<size_t>(n)) != n) return;  // no space: better a long log than none
  (void)!::ftruncate(from.get(), 0);
}

std::string log_tail(const std::string& path, int64_t lines, size_t max_bytes) {
  std::string text = base::read_file(path).value_or(""), out;
  text.erase(0, tail_offset(text, lines));
  for (auto record : base::split(text, '\n')) {
    CriLine line;
    if (!parse_cri_line(record, line)) continue;
    out += line.text;
    if (line.whole) out += '\n';
  }
  if (out.size() > max_bytes) out.erase(0, out.size() - max_bytes);
  return out;
}

base::Result<std::unique_ptr<api::LogStream>> open_log_stream(io::Loop& loop, const std::string& path, const api::LogOptions& options, api::LogSink sink,
                                                              PodWorker* follow, const std::string& container) {
  auto stream = std::make_unique<FileStream>(loop, path, options, std::move(sink));
  if (auto ok = stream->begin(follow, container); !ok) return std::unexpected(ok.error());
  return stream;
}

}  // namespace fairlead::node
