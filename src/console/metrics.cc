#include "console/metrics.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace fairlead::console {

namespace {

// Found by resource and time; the index serves what is too old.
constexpr const char* kSchema = R"(
CREATE TABLE apps (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE resources (id INTEGER PRIMARY KEY, app INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (app, name));
CREATE TABLE metrics (step INTEGER NOT NULL, time INTEGER NOT NULL, resource INTEGER NOT NULL, pass INTEGER NOT NULL, block INTEGER NOT NULL,
  success INTEGER NOT NULL, exception INTEGER NOT NULL, rt INTEGER NOT NULL, PRIMARY KEY (step, resource, time)) WITHOUT ROWID;
CREATE INDEX metrics_by_time ON metrics (step, time);
PRAGMA user_version = 1;
)";

constexpr int kSteps[] = {1, 60, 3600};
constexpr std::int64_t kKeptMs[] = {3'600'000, 2LL * 86'400'000, 366LL * 86'400'000};
constexpr int kFlushesBetween = 10;  // of minutes and hours
constexpr std::size_t kRecentSeconds = 10;

std::int64_t begin_of(std::int64_t time_ms, int step) { return time_ms - time_ms % (1000LL * step); }

}  // namespace

Sums& Sums::operator+=(const Sums& other) {
  pass += other.pass;
  block += other.block;
  success += other.success;
  exception += other.exception;
  rt_ms += other.rt_ms;
  return *this;
}

base::Result<std::unique_ptr<Metrics>> Metrics::open(const std::string& path, std::function<std::int64_t()> now_ms, Limits limits) {
  auto writing = Database::open(path, kSchema, false);
  if (!writing) return std::unexpected(writing.error());
  auto reading = Database::open(path, kSchema, false);
  if (!reading) return std::unexpected(reading.error());
  return std::unique_ptr<Metrics>(new Metrics(std::move(*reading), std::move(*writing), std::move(now_ms), limits));
}

Metrics::Metrics(std::unique_ptr<Database> reading, std::unique_ptr<Database> writing, std::function<std::int64_t()> now_ms, Limits limits)
    : database_(std::move(reading)), now_ms_(std::move(now_ms)), limits_(limits), writing_(std::move(writing)), writer_([this](const std::stop_token& stop) { work(stop); }) {
  Query known = database_->query("SELECT apps.id, apps.name, resources.id, resources.name FROM apps LEFT JOIN resources ON resources.app = apps.id");
  while (known.next()) {
    App& app = apps_[known.text(1)];
    app.id = known.integer(0);
    last_app_ = std::max(last_app_, app.id);
    if (known.null(2)) continue;
    app.resources.emplace(known.text(3), known.integer(2));
    last_resource_ = std::max(last_resource_, known.integer(2));
  }
}

Metrics::~Metrics() {
  flushes_ = kFlushesBetween - 1;
  flush();
  writer_.request_stop();
  wake_.notify_all();
  writer_.join();
}

void Metrics::run(Job job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_all();
}

void Metrics::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, stop, [this] { return !jobs_.empty(); });
    if (jobs_.empty()) return;  // asked to stop, and all is done
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    busy_ = true;
    lock.unlock();
    job(*writing_);
    lock.lock();
    busy_ = false;
    wake_.notify_all();
  }
}

void Metrics::settle() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return jobs_.empty() && !busy_; });
}

Metrics::App& Metrics::app(const std::string& name) {
  App& app = apps_[name];
  if (app.id != 0) return app;
  app.id = ++last_app_;
  run([id = app.id, name](Database& database) { database.query("INSERT INTO apps (id, name) VALUES (?1, ?2)").with(id, name).run(); });
  return app;
}

std::int64_t Metrics::resource(App& app, const std::string& name) {
  if (const auto found = app.resources.find(name); found != app.resources.end()) return found->second;
  if (app.resources.size() >= kMaxResourcesPerApp && name != kOthers) {
    ++overflow_;
    return resource(app, std::string(kOthers));
  }
  const std::int64_t id = ++last_resource_;
  app.resources.emplace(name, id);
  run([id, of = app.id, name](Database& database) { database.query("INSERT INTO resources (id, app, name) VALUES (?1, ?2, ?3)").with(id, of, name).run(); });
  return id;
}

void Metrics::add(const std::string& name, const std::string& resource_name, std::int64_t second_ms, const Sums& sums) {
  App& of = app(name);
  const std::int64_t id = resource(of, resource_name);
  if (id == 0) return;
  const std::int64_t second = begin_of(second_ms, 1);
  seconds_[{id, second}] += sums;
  minutes_[{id, begin_of(second, 60)}] += sums;
  hours_[{id, begin_of(second, 3600)}] += sums;
  if (resource_name == kTotalInbound) return;
  of.recent[second] += sums;
  while (of.recent.size() > kRecentSeconds) of.recent.erase(of.recent.begin());
}

void Metrics::flush() {
  using Rows = std::vector<std::pair<int, std::map<Cell, Sums>>>;
  Rows rows;
  if (!seconds_.empty()) rows.emplace_back(1, std::exchange(seconds_, {}));
  if (++flushes_ % kFlushesBetween == 0 && !minutes_.empty()) {
    rows.emplace_back(60, std::exchange(minutes_, {}));
    rows.emplace_back(3600, std::exchange(hours_, {}));
  }
  if (rows.empty()) return;
  run([rows = std::move(rows)](Database& database) {
    Database::Transaction transaction(database);
    for (const auto& [step, cells] : rows)
      for (const auto& [cell, sums] : cells)
        database.query("INSERT INTO metrics (step, time, resource, pass, block, success, exception, rt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE "
                       "SET pass = pass + ?4, block = block + ?5, success = success + ?6, exception = exception + ?7, rt = rt + ?8")
            .with(step, cell.time_ms, cell.resource, sums.pass, sums.block, sums.success, sums.exception, sums.rt_ms)
            .run();
    if (!transaction.commit()) FL_LOG_ERROR("console", "metrics are not kept: {}", database.problem());
  });
}

void Metrics::prune() {
  run([limits = limits_, now = now_ms_()](Database& database) {
    Database::Transaction transaction(database);
    for (int i = 0; i < 3; ++i) {
      database.query("DELETE FROM metrics WHERE step = ?1 AND time < ?2").with(kSteps[i], now - kKeptMs[i]).run();
      std::int64_t rows = 0;
      if (Query count = database.query("SELECT count(*) FROM metrics WHERE step = ?1").with(kSteps[i]); count.next()) rows = count.integer(0);
      if (rows <= limits.rows[i]) continue;
      // Whole instants go, the oldest, until a tenth is free.
      std::int64_t until = 0;
      if (Query oldest = database.query("SELECT time FROM metrics WHERE step = ?1 ORDER BY time LIMIT 1 OFFSET ?2").with(kSteps[i], rows - limits.rows[i] * 9 / 10); oldest.next())
        until = oldest.integer(0);
      database.query("DELETE FROM metrics WHERE step = ?1 AND time <= ?2").with(kSteps[i], until).run();
    }
    if (!transaction.commit()) FL_LOG_ERROR("console", "old metrics stay: {}", database.problem());
  });
}

void Metrics::forget(std::string_view app) {
  const auto found = apps_.find(app);
  if (found == apps_.end()) return;
  const auto own = [&](const auto& each) { return std::ranges::any_of(found->second.resources, [&](const auto& r) { return r.second == each.first.resource; }); };
  for (auto* cells : {&seconds_, &minutes_, &hours_}) std::erase_if(*cells, own);
  run([id = found->second.id](Database& database) {
    Database::Transaction transaction(database);
    database.query("DELETE FROM metrics WHERE resource IN (SELECT id FROM resources WHERE app = ?1)").with(id).run();
    database.query("DELETE FROM resources WHERE app = ?1").with(id).run();
    database.query("DELETE FROM apps WHERE id = ?1").with(id).run();
    if (!transaction.commit()) FL_LOG_ERROR("console", "metrics are not forgotten: {}", database.problem());
  });
  apps_.erase(found);
}

std::vector<std::string> Metrics::apps() const {
  std::vector<std::string> out;
  for (const auto& [name, app] : apps_) out.push_back(name);
  return out;
}

bool Metrics::knows(std::string_view app, std::string_view resource) const {
  const auto found = apps_.find(app);
  return found != apps_.end() && found->second.resources.contains(std::string(resource));
}

std::vector<MetricPoint> Metrics::series(std::string_view app, std::string_view resource, std::int64_t from_ms, std::int64_t to_ms, int step) const {
  std::vector<MetricPoint> out;
  const auto found = apps_.find(app);
  if (found == apps_.end()) return out;
  Query rows = [&] {
    if (resource.empty())
      // CROSS: resources first, or the planner goes through everybody's rows of that time.
      return database_->query("SELECT metrics.time, sum(pass), sum(block), sum(success), sum(exception), sum(rt) FROM resources CROSS JOIN metrics ON step = ?1 AND "
                             "metrics.resource = resources.id AND time >= ?2 AND time < ?3 WHERE resources.app = ?4 AND resources.name <> ?5 GROUP BY metrics.time ORDER BY metrics.time")
          .with(step, from_ms, to_ms, found->second.id, kTotalInbound);
    const auto id = found->second.resources.find(std::string(resource));
    return database_->query("SELECT time, pass, block, success, exception, rt FROM metrics WHERE step = ?1 AND time >= ?2 AND time < ?3 AND resource = ?4 ORDER BY time")
        .with(step, from_ms, to_ms, id == found->second.resources.end() ? 0 : id->second);
  }();
  while (rows.next())
    out.push_back({rows.integer(0), {.pass = rows.integer(1), .block = rows.integer(2), .success = rows.integer(3), .exception = rows.integer(4), .rt_ms = rows.integer(5)}});
  return out;
}

std::vector<std::pair<std::string, Sums>> Metrics::top(std::string_view app, std::int64_t from_ms, std::int64_t to_ms, std::string_view search, std::size_t limit) const {
  std::vector<std::pair<std::string, Sums>> out;
  const auto found = apps_.find(app);
  if (found == apps_.end()) return out;
  // Long times from minutes: seconds are many, and kept for an hour.
  const int step = to_ms - from_ms > 600'000 ? 60 : 1;
  Query rows = database_->query("SELECT resources.name, sum(pass), sum(block), sum(success), sum(exception), sum(rt) FROM resources CROSS JOIN metrics ON step = ?1 AND "
                               "metrics.resource = resources.id AND time >= ?2 AND time < ?3 WHERE resources.app = ?4 AND instr(resources.name, ?5) > 0 AND resources.name <> ?6 "
                               "GROUP BY resources.id ORDER BY sum(pass) + sum(block) DESC, resources.name LIMIT ?7")
                   .with(step, begin_of(from_ms, step), to_ms, found->second.id, search, kTotalInbound, limit);
  while (rows.next())
    out.emplace_back(rows.text(0), Sums{.pass = rows.integer(1), .block = rows.integer(2), .success = rows.integer(3), .exception = rows.integer(4), .rt_ms = rows.integer(5)});
  return out;
}

std::optional<Sums> Metrics::latest(std::string_view app) const {
  const auto found = apps_.find(app);
  if (found == apps_.end()) return std::nullopt;
  const auto& recent = found->second.recent;
  // The newest second may still lack some machines: the one before it.
  if (recent.size() < 2) return std::nullopt;
  const auto newest = std::prev(recent.end(), 2);
  if (now_ms_() - newest->first > 15'000) return std::nullopt;
  return newest->second;
}

}  // namespace fairlead::console
