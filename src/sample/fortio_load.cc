// The run, phase by phase: resolve, warm up, let each thread call, collect, report.
#include <signal.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <thread>

#include "base/strings.h"
#include "sample/fortio_client.h"
#include "sample/service.h"

namespace fairlead::sample {

namespace {

std::atomic<bool> g_interrupted{false};

struct Worker {
  Worker(const FortioOptions& options, FortioTarget& target, const FortioLog& log, int id)
      : client(options, target, log, id), times(options.resolution), errors(options.resolution), sleeps(0.001, -0.001), sizes(100), heads(5) {}
  FortioClient client;
  Histogram times, errors, sleeps, sizes, heads;
  std::map<int, long long> codes;
  long long calls = 0;  // to make; 0: until the end
};

int processors() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stderr); }

double seconds(base::Nanos d) { return std::chrono::duration<double>(d).count(); }

class Run {
 public:
  explicit Run(const FortioOptions& options) : o_(options), log_(options.level), threads_(options.connections) {}

  int run() {
    std::string limit = o_.calls > 0 ? fmt::format("for {} calls", o_.calls)
                        : o_.duration > base::Nanos(0) ? "for " + base::format_duration(o_.duration) : "until interrupted";
    print(fmt::format("Fortio {} running at {} queries per second, {}->{} procs, {}: {}\n", kFortioVersion, go_g(std::max(0.0, o_.qps)),
                      processors(), processors(), limit, o_.url));
    auto target = fortio_target(o_);
    if (!target) {
      print(fmt::format("Aborting because of {}\n", target.error().text()));
      return 1;
    }
    log_.write(LogLevel::kInfo, "Starting http test",
               {{"run", "0"}, {"url", "\"" + o_.url + "\""}, {"threads", std::to_string(threads_)}, {"qps", fmt::format("\"{:.1f}\"", o_.qps)}});
    announce();
    for (int i = 0; i < threads_; ++i) workers_.push_back(std::make_unique<Worker>(o_, **target, log_, i));
    share_calls();
    if (o_.calls <= 0 && !warm_up()) return 1;
    start_ = base::Clock::now();
    in_parallel([this](Worker& w) { work(w); });
    elapsed_ = base::Clock::now() - start_;
    collect();
    report();
    return save() ? 0 : 1;
  }

 private:
  void in_parallel(const std::function<void(Worker&)>& body) {
    std::vector<std::thread> threads;
    for (auto& w : workers_) threads.emplace_back([&, worker = w.get()] { body(*worker); });
    for (auto& t : threads) t.join();
  }

  // How many calls each thread makes, announced as it is worked out.
  void announce() {
    bool loud = log_.enabled(LogLevel::kWarning);
    std::string text;
    if (o_.qps <= 0) {
      if (o_.calls > 0) {
        threads_ = static_cast<int>(std::min<long long>(threads_, o_.calls));
        per_thread_ = o_.calls / threads_;
        left_over_ = o_.calls % threads_;
        text = fmt::format("Starting at max qps with {} thread(s) [gomax {}] for exactly {} calls ({} per thread + {})\n", threads_,
                           processors(), o_.calls, per_thread_, left_over_);
      } else if (o_.duration > base::Nanos(0)) {
        text = fmt::format("Starting at max qps with {} thread(s) [gomax {}] for {}\n", threads_, processors(), base::format_duration(o_.duration));
      } else {
        loud = true;
        text = fmt::format("Starting at max qps with {} thread(s) [gomax {}] until interrupted\n", threads_, processors());
      }
    } else if (o_.calls <= 0 && o_.duration <= base::Nanos(0)) {
      loud = true;
      text = fmt::format("Starting at {} qps with {} thread(s) [gomax {}] until interrupted\n", go_g(o_.qps), threads_, processors());
    } else {
      long long total = o_.calls > 0 ? o_.calls : static_cast<long long>(o_.qps * seconds(o_.duration));
      if (total < 2) {
        log_.write(LogLevel::kWarning, "Increasing the number of calls to the minimum of 2 with 1 thread. total duration will increase");
        total = 2;
        threads_ = 1;
      }
      if (2 * threads_ > total) {
        long long fewer = total / 2;
        log_.write(LogLevel::kWarning, fmt::format("Lowering number of threads - total call {} -> lowering from {} to {} threads", total, threads_, fewer));
        threads_ = static_cast<int>(fewer);
      }
      per_thread_ = total / threads_;
      if (o_.calls > 0) {
        left_over_ = o_.calls - per_thread_ * threads_;
        text = fmt::format("Starting at {} qps with {} thread(s) [gomax {}] : exactly {}, {} calls each (total {} + {})\n", go_g(o_.qps), threads_,
                           processors(), o_.calls, per_thread_, per_thread_ * threads_, left_over_);
      } else {
        text = fmt::format("Starting at {} qps with {} thread(s) [gomax {}] for {} : {} calls each (total {})\n", go_g(o_.qps), threads_,
                           processors(), base::format_duration(o_.duration), per_thread_, per_thread_ * threads_);
      }
    }
    if (loud) print(text);
  }

  void share_calls() {
    for (size_t i = 0; i < workers_.size(); ++i) workers_[i]->calls = per_thread_ + (i == 0 ? left_over_ : 0);
  }

  bool warm_up() {
    std::atomic<int> bad{0};
    std::atomic<size_t> bad_size{0};
    in_parallel([&](Worker& w) {
      auto outcome = w.client.fetch();
      if (!fortio_ok(outcome.code)) {
        bad = outcome.code;
        bad_size = outcome.size;
      }
    });
    warmups_ = threads_;
    if (bad == 0 || o_.allow_initial_errors) return true;
    print(fmt::format("Aborting because of error {} for {} ({} bytes)\n", bad.load(), o_.url, bad_size.load()));
    return false;
  }

  // One thread's calls: back to back, or spread evenly so that the last one falls on the end.
  void work(Worker& w) {
    std::mt19937 random(std::random_device{}());
    double per_second = o_.qps / threads_;
    bool timed = o_.calls <= 0 && o_.duration > base::Nanos(0);
    auto end = start_ + o_.duration;
    for (long long i = 0; !g_interrupted && !abort_; ++i) {
      if (w.calls > 0 ? i >= w.calls : timed && base::Clock::now() >= end) break;
      auto before = base::Clock::now();
      auto outcome = w.client.fetch();
      double took = std::chrono::duration<double>(base::Clock::now() - before).count();
      w.times.record(took);
      if (!fortio_ok(outcome.code)) w.errors.record(took);
      ++w.codes[outcome.code];
      w.sizes.record(static_cast<double>(outcome.size));
      w.heads.record(static_cast<double>(outcome.head));
      if (o_.abort_on != 0 && outcome.code == o_.abort_on) abort_ = true;
      if (o_.qps <= 0 || (w.calls > 0 && i + 1 >= w.calls)) continue;
      double next = static_cast<double>(i + 1) / per_second;
      if (w.calls > 1) next *= static_cast<double>(w.calls) / static_cast<double>(w.calls - 1);
      double pause = next - std::chrono::duration<double>(base::Clock::now() - start_).count();
      if (o_.no_catchup) pause = 1 / per_second - took;
      if (o_.jitter) pause += pause * std::uniform_real_distribution<>(-0.1, 0.1)(random);
      w.sleeps.record(pause);
      nap(pause);
    }
  }

  static void nap(double pause) {
    auto until = base::Clock::now() + base::Nanos(static_cast<int64_t>(std::max(0.0, pause) * 1e9));
    while (!g_interrupted) {
      auto left = until - base::Clock::now();
      if (left <= base::Nanos(0)) return;
      std::this_thread::sleep_for(std::min<base::Nanos>(left, std::chrono::milliseconds(100)));
    }
  }

  void collect() {
    for (const auto& w : workers_) {
      times_.add(w->times);
      errors_.add(w->errors);
      sleeps_.add(w->sleeps);
      sizes_.add(w->sizes);
      heads_.add(w->heads);
      connects_.add(w->client.connect_times());
      for (auto [code, count] : w->codes) codes_[code] += count;
      for (const auto& [address, count] : w->client.used()) addresses_[address] += count;
    }
  }

  double actual_qps() const { return static_cast<double>(times_.count()) / seconds(elapsed_); }

  void report() const {
    bool loud = log_.enabled(LogLevel::kWarning);
    if (loud) print(fmt::format("Ended after {} : {} calls. qps={:.5g}\n", base::format_duration(elapsed_), times_.count(), actual_qps()));
    if (o_.qps > 0) {
      double behind = sleeps_.count() ? 100.0 * static_cast<double>(sleeps_.at_or_below_offset()) / static_cast<double>(sleeps_.count()) : 0;
      if (behind > 5) print(sleeps_.text("Aggregated Sleep Time", {50}) + fmt::format("WARNING {:.2f}% of sleep were falling behind\n", behind));
      else if (loud) print(sleeps_.summary("Sleep times"));
    }
    if (loud) {
      print(times_.text("Aggregated Function Time", o_.percentiles));
      print(errors_.text("Error cases", o_.percentiles));
    } else {
      print(times_.summary("Aggregated Function Time") + times_.percentile_lines(o_.percentiles));
      print(errors_.summary("Error cases"));
    }
    print("# Socket and IP used for each connection:\n");
    uint64_t sockets = 0;
    for (size_t i = 0; i < workers_.size(); ++i) {
      const auto& client = workers_[i]->client;
      std::vector<std::string> used;
      for (const auto& [address, count] : client.used())
        used.push_back(client.used().size() == 1 ? address : fmt::format("{} ({})", address, count));
      print(fmt::format("[{}] {:3} socket used, resolved to {}{}", i, client.connect_times().count(), base::join(used, ", "),
                        client.connect_times().summary(", connection timing")));
      sockets += client.connect_times().count();
    }
    if (log_.enabled(LogLevel::kInfo)) print(connects_.text("Connection time histogram (s)", o_.percentiles));
    else if (loud) print(connects_.summary("Connection time (s)"));
    print(fmt::format("Sockets used: {} (for perfect keepalive, would be {})\n", sockets, threads_));
    print(fmt::format("Uniform: {}, Jitter: {}, Catchup allowed: {}\n", o_.uniform, o_.jitter, !o_.no_catchup));
    print("IP addresses distribution:\n");
    std::vector<std::pair<std::string, int>> by_use(addresses_.begin(), addresses_.end());
    std::stable_sort(by_use.begin(), by_use.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    for (const auto& [address, count] : by_use) print(fmt::format("{}: {}\n", address, count));
    for (auto [code, count] : codes_)
      print(fmt::format("Code {:3} : {} ({:.1f} %)\n", code, count, 100.0 * static_cast<double>(count) / static_cast<double>(times_.count())));
    if (loud) {
      print(heads_.summary("Response Header Sizes"));
      print(sizes_.summary("Response Body/Total Sizes"));
    }
    print(fmt::format("All done {} calls (plus {} warmup) {:.3f} ms avg, {:.1f} qps\n", times_.count(), warmups_, 1000 * times_.average(), actual_qps()));
  }

  base::Value json() const {
    auto codes = base::Value::object();
    for (auto [code, count] : codes_) codes.set(std::to_string(code), count);
    auto addresses = base::Value::object();
    for (const auto& [address, count] : addresses_) addresses.set(address, count);
    auto sockets = base::Value::array();
    for (const auto& w : workers_) sockets.push(w->client.connect_times().count());
    return base::Value::object(
        {{"RunType", "HTTP"},
         {"Labels", o_.labels},
         {"StartTime", base::format_rfc3339_milli(std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(elapsed_))},
         {"RequestedQPS", o_.qps > 0 ? go_g(o_.qps) : "max"},
         {"RequestedDuration", o_.calls > 0 ? fmt::format("exactly {} calls", o_.calls) : base::format_duration(o_.duration)},
         {"ActualQPS", actual_qps()},
         {"ActualDuration", elapsed_.count()},
         {"NumThreads", threads_},
         {"Version", kFortioVersion},
         {"DurationHistogram", times_.json(o_.percentiles)},
         {"ErrorsDurationHistogram", errors_.json(o_.percentiles)},
         {"Exactly", o_.calls},
         {"Jitter", o_.jitter},
         {"Uniform", o_.uniform},
         {"NoCatchUp", o_.no_catchup},
         {"RetCodes", std::move(codes)},
         {"IPCountMap", std::move(addresses)},
         {"URL", o_.url},
         {"NumConnections", 1},
         {"DisableKeepAlive", !o_.keep_alive},
         {"HTTPReqTimeOut", o_.timeout.count()},
         {"Sizes", sizes_.json({})},
         {"HeaderSizes", heads_.json({})},
         {"Sockets", std::move(sockets)},
         {"SocketCount", connects_.count()},
         {"ConnectionStats", connects_.json(o_.percentiles)},
         {"AbortOn", o_.abort_on}});
  }

  bool save() const {
    if (o_.json_path.empty() && !o_.save_json) return true;
    std::string text = json().dump(2) + "\n";
    if (o_.json_path == "-") return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    std::string path = o_.json_path;
    if (path.empty()) {
      char stamp[32];
      std::time_t now = std::time(nullptr);
      std::tm tm{};
      ::localtime_r(&now, &tm);
      std::strftime(stamp, sizeof stamp, "%Y-%m-%d-%H%M%S", &tm);
      std::string label = o_.labels.empty() ? o_.url.substr(o_.url.find("://") + 3) : o_.labels;
      for (char& c : label)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
      path = fmt::format("{}/{}_{}.json", o_.data_dir, stamp, label);
    }
    std::ofstream out(path);
    out << text;
    out.close();
    if (!out) return print(fmt::format("Unable to create {}\n", path)), false;
    print(fmt::format("Successfully wrote {} bytes of Json data to {}\n", text.size(), path));
    return true;
  }

  const FortioOptions& o_;
  FortioLog log_;
  int threads_;
  long long per_thread_ = 0, left_over_ = 0;
  int warmups_ = 0;
  std::atomic<bool> abort_{false};
  std::vector<std::unique_ptr<Worker>> workers_;
  base::TimePoint start_;
  base::Nanos elapsed_{0};
  Histogram times_{o_.resolution}, errors_{o_.resolution}, sleeps_{0.001, -0.001}, sizes_{100}, heads_{5}, connects_{o_.resolution};
  std::map<int, long long> codes_;
  std::map<std::string, int> addresses_;
};

}  // namespace

int fortio_load(const FortioOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGINT, [](int) { g_interrupted = true; });
  FortioLog log(LogLevel::kInfo);
  if (options.level <= LogLevel::kInfo) log.write(LogLevel::kInfo, "Starting", {{"command", "\"Φορτίο\""}, {"version", fmt::format("\"{}\"", kFortioVersion)}});
  return Run(options).run();
}

int fortio_curl(const FortioOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  FortioLog log(options.level);
  log.write(LogLevel::kInfo, "Starting", {{"command", "\"Φορτίο\""}, {"version", fmt::format("\"{}\"", kFortioVersion)}});
  FortioOptions once = options;
  once.log_errors = false;
  auto target = fortio_target(once);
  if (!target) {
    log.write(LogLevel::kError, target.error().text());
    return 1;
  }
  FortioClient client(once, **target, log, 0);
  auto outcome = client.fetch();
  if (outcome.code == -1) {
    log.write(LogLevel::kError, "Error status -1");
    return 1;
  }
  const std::string& bytes = client.last();
  size_t head = bytes.find("\r\n\r\n") + 4;
  std::fwrite(bytes.data(), 1, head, stderr);
  std::fwrite(bytes.data() + head, 1, bytes.size() - head, stdout);
  return fortio_ok(outcome.code) ? 0 : 1;
}

}  // namespace fairlead::sample
