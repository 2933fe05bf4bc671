#include "sentinel/metric_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <tuple>

namespace fairlead::sentinel {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kIndex = ".idx";
constexpr std::size_t kDateLength = 10;   // yyyy-MM-dd
constexpr std::size_t kEntryBytes = 16;

std::string file_name(const MetricLog::Options& options) {
  std::string name = options.app;
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '.' || c == '/' || c == '\0'; }, '-');
  name += "-metrics.log";
  return options.pid != 0 ? name + ".pid" + std::to_string(options.pid) : name;
}

std::string date_of(std::int64_t time_ms) {
  const std::time_t second = time_ms / 1000;
  std::tm local{};
  localtime_r(&second, &local);
  char text[64];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d", &local)};
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// What follows the name: ".yyyy-MM-dd" or ".yyyy-MM-dd.N".
bool is_dated(std::string_view part) {
  if (part.size() < kDateLength + 1 || part[0] != '.') return false;
  for (std::size_t i = 0; i < kDateLength; ++i)
    if (i == 4 || i == 7 ? part[i + 1] != '-' : !is_digit(part[i + 1])) return false;
  part.remove_prefix(kDateLength + 1);
  return part.empty() || (part[0] == '.' && std::all_of(part.begin() + 1, part.end(), is_digit));
}

base::Status write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::fail_errno("write the metric log");
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

void append_big_endian(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

std::int64_t read_big_endian(const char* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return static_cast<std::int64_t>(value);
}

// Where the first second that is not before `second` begins; -1: there is none.
std::int64_t offset_of(const std::string& index, std::int64_t second) {
  std::ifstream in(index, std::ios::binary | std::ios::ate);
  if (!in) return -1;
  std::array<char, kEntryBytes> entry{};
  const auto read = [&](std::int64_t at) {
    in.seekg(at * static_cast<std::int64_t>(kEntryBytes));
    return static_cast<bool>(in.read(entry.data(), entry.size()));
  };
  std::int64_t low = 0, high = static_cast<std::int64_t>(in.tellg()) / static_cast<std::int64_t>(kEntryBytes);
  const std::int64_t entries = high;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (!read(middle)) return -1;
    if (read_big_endian(entry.data()) < second) low = middle + 1;
    else high = middle;
  }
  return low < entries && read(low) ? std::max<std::int64_t>(0, read_big_endian(entry.data() + 8)) : -1;
}

}  // namespace

MetricLog::MetricLog(Options options) : options_(std::move(options)), name_(file_name(options_)) {}

// Oldest first: by date, then by number.
std::vector<std::string> MetricLog::files() const {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(options_.folder, error), end; !error && at != end; at.increment(error)) {
    std::string file = at->path().filename();
    std::error_code ignored;
    if (file.starts_with(name_) && is_dated(std::string_view(file).substr(name_.size())) && at->is_regular_file(ignored)) found.push_back(std::move(file));
  }
  const auto place = [this](const std::string& file) { return std::tuple(std::string_view(file).substr(name_.size() + 1, kDateLength), file.size(), std::string_view(file)); };
  std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return found;
}

bool MetricLog::still_there() const {
  struct stat ignored {};
  return ::stat(path_.c_str(), &ignored) == 0 && ::stat((path_ + std::string(kIndex)).c_str(), &ignored) == 0;
}

base::Status MetricLog::open(const std::string& date) {
  lines_ = io::Fd();
  index_ = io::Fd();
  std::error_code error;
  fs::create_directories(options_.folder, error);
  const std::vector<std::string> before = files();
  for (std::size_t i = 0; i + static_cast<std::size_t>(options_.max_files) <= before.size(); ++i) {
    const std::string path = options_.folder + "/" + before[i];
    fs::remove(path, error);
    fs::remove(path + std::string(kIndex), error);
  }
  // The next number of the day. Never a file that is there: another process of the same name may be writing it.
  std::int64_t number = -1;
  for (const std::string& file : before) {
    if (file.compare(name_.size() + 1, kDateLength, date) != 0) continue;
    std::int64_t n = 0;
    const std::size_t from = name_.size() + 1 + kDateLength + 1;
    if (from < file.size()) std::from_chars(file.data() + from, file.data() + file.size(), n);
    number = std::max(number, n);
  }
  constexpr int kTries = 16;
  for (int i = 0; i < kTries; ++i) {
    ++number;
    path_ = options_.folder + "/" + name_ + "." + date + (number > 0 ? "." + std::to_string(number) : "");
    lines_ = io::Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (lines_.get() >= 0 || errno != EEXIST) break;
  }
  if (lines_.get() < 0) return base::fail_errno("create " + path_);
  index_ = io::Fd(::open((path_ + std::string(kIndex)).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (index_.get() < 0) {
    const int problem = errno;
    lines_ = io::Fd();
    return base::fail_errno("create " + path_ + std::string(kIndex), problem);
  }
  date_ = date;
  size_ = 0;
  return {};
}

base::Status MetricLog::write(std::span<const flow::Metric> lines) {
  while (!lines.empty()) {
    const std::int64_t second = lines[0].time_ms / 1000;
    std::size_t count = 1;
    while (count < lines.size() && lines[count].time_ms / 1000 == second) ++count;
    if (second > last_second_) {
      if (base::Status written = write_second(lines.first(count)); !written) {
        lines_ = io::Fd();  // the next second begins a file, so that no half line is within one
        return written;
      }
      last_second_ = second;
    }
    lines = lines.subspan(count);
  }
  return {};
}

base::Status MetricLog::write_second(std::span<const flow::Metric> lines) {
  const std::string date = date_of(lines[0].time_ms);
  if (lines_.get() < 0 || date != date_ || size_ >= options_.max_file_bytes || !still_there())
    if (base::Status opened = open(date); !opened) return opened;
  std::string entry, text;
  append_big_endian(entry, static_cast<std::uint64_t>(lines[0].time_ms / 1000));
  append_big_endian(entry, size_);
  for (const flow::Metric& line : lines) append_fat(text, {.values = line});
  if (base::Status written = write_all(index_.get(), entry); !written) return written;
  if (base::Status written = write_all(lines_.get(), text); !written) return written;
  size_ += text.size();
  return {};
}

std::vector<MetricLine> MetricLog::find(const MetricQuery& query) const {
  std::vector<MetricLine> found;
  const std::int64_t begin = query.begin_ms / 1000;
  std::size_t searched = 0;
  std::int64_t offset = -1;
  for (const std::string& file : files()) {
    const std::string path = options_.folder + "/" + file;
    offset = offset < 0 ? offset_of(path + std::string(kIndex), begin) : 0;
    if (offset < 0) continue;
    std::ifstream in(path, std::ios::binary);
    in.seekg(offset);
    for (std::string text; std::getline(in, text);) {
      searched += text.size() + 1;
      if (searched > kMaxMetricBytesSearched || found.size() >= kMaxMetricLinesFound) return found;
      auto line = parse_fat(text);
      if (!line) continue;
      const std::int64_t second = line->values.time_ms / 1000;
      if (query.end_ms) {
        if (second < begin || second > *query.end_ms / 1000) return found;
        if (query.identity && line->values.resource != *query.identity) continue;
      } else if (found.size() >= query.max_lines && (found.empty() || second != found.back().values.time_ms / 1000)) {
        return found;
      }
      found.push_back(std::move(*line));
    }
  }
  return found;
}

}  // namespace fairlead::sentinel
