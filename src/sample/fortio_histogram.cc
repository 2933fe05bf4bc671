#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "sample/fortio.h"

namespace fairlead::sample {

namespace {

// Upper bounds of the buckets, in units of the divider: fine below 11, then ever coarser.
constexpr int kBounds[] = {0,   1,   2,   3,   4,   5,   6,   7,   8,    9,    10,   11,   12,   14,   16,    18,    20,
                           25,  30,  35,  40,  45,  50,  60,  70,   80,   90,   100,  120,  140,  160,   180,   200,   250,
                           300, 350, 400, 450, 500, 600, 700, 800,  900,  1000, 2000, 3000, 4000, 5000,  7500,  10000, 20000,
                           30000, 40000, 50000, 75000, 100000};
constexpr size_t kCount = std::size(kBounds);

}  // namespace

std::string go_g(double value) {
  if (value == 0) return "0";
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  std::array<char, 64> buffer;
  auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific).ptr;
  std::string text(buffer.data(), end);
  size_t e = text.find('e');
  int exponent = std::atoi(text.c_str() + e + 1);
  if (exponent < -4 || exponent >= 6) return text;
  end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed).ptr;
  return std::string(buffer.data(), end);
}

Histogram::Histogram(double divider, double offset) : divider_(divider), offset_(offset), buckets_(kCount + 1) {}

void Histogram::record(double value) {
  min_ = count_ ? std::min(min_, value) : value;
  max_ = count_ ? std::max(max_, value) : value;
  ++count_;
  sum_ += value;
  squares_ += value * value;
  double scaled = (value - offset_) / divider_;
  // Bounds belong to the bucket below them.
  size_t index = static_cast<size_t>(std::lower_bound(std::begin(kBounds), std::end(kBounds), scaled - 1e-12) - std::begin(kBounds));
  ++buckets_[index];
}

void Histogram::add(const Histogram& other) {
  if (!other.count_) return;
  min_ = count_ ? std::min(min_, other.min_) : other.min_;
  max_ = count_ ? std::max(max_, other.max_) : other.max_;
  count_ += other.count_;
  sum_ += other.sum_;
  squares_ += other.squares_;
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
}

double Histogram::deviation() const {
  if (!count_) return 0;
  double n = static_cast<double>(count_);
  return std::sqrt(std::max(0.0, (squares_ - sum_ * sum_ / n) / n));
}

std::vector<Histogram::Bucket> Histogram::filled() const {
  std::vector<Bucket> out;
  uint64_t total = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    if (!buckets_[i]) continue;
    total += buckets_[i];
    double start = out.empty() ? min_ : divider_ * kBounds[i - 1] + offset_;
    double end = i < kCount ? divider_ * kBounds[i] + offset_ : max_;
    out.push_back({start, end, 100.0 * static_cast<double>(total) / static_cast<double>(count_), buckets_[i]});
  }
  if (!out.empty()) out.back().end = max_;
  return out;
}

double Histogram::percentile(double p) const {
  if (!count_ || p >= 100) return max_;
  // The smallest value alone covers its share; the rest of each bucket is spread evenly.
  double before = 100.0 / static_cast<double>(count_);
  if (p <= before) return min_;
  for (const auto& b : filled()) {
    if (p <= b.percent) return b.start + (p - before) / (b.percent - before) * (b.end - b.start);
    before = b.percent;
  }
  return max_;
}

std::string Histogram::summary(std::string_view title) const {
  return fmt::format("{} : count {} avg {:.8g} +/- {:.4g} min {} max {} sum {:.9g}\n", title, count_, average(), deviation(),
                     go_g(min_), go_g(max_), sum_);
}

std::string Histogram::percentile_lines(const std::vector<double>& percentiles) const {
  std::string out;
  if (count_)
    for (double p : percentiles) out += fmt::format("# target {}% {:.6g}\n", go_g(p), percentile(p));
  return out;
}

std::string Histogram::text(std::string_view title, const std::vector<double>& percentiles) const {
  if (!count_) return fmt::format("{} : no data\n", title);
  std::string out = summary(title) + "# range, mid point, percentile, count\n";
  const char* sign = ">=";
  for (const auto& b : filled()) {
    out += fmt::format("{} {:.6g} <= {:.6g} , {:.6g} , {:.2f}, {}\n", sign, b.start, b.end, (b.start + b.end) / 2, b.percent, b.count);
    sign = ">";
  }
  return out + percentile_lines(percentiles);
}

base::Value Histogram::json(const std::vector<double>& percentiles) const {
  auto out = base::Value::object({{"Count", count_}, {"Min", min_}, {"Max", max_}, {"Sum", sum_}, {"Avg", average()}, {"StdDev", deviation()}});
  auto data = base::Value::array();
  for (const auto& b : filled())
    data.push(base::Value::object({{"Start", b.start}, {"End", b.end}, {"Percent", b.percent}, {"Count", b.count}}));
  out.set("Data", count_ ? std::move(data) : base::Value());
  if (count_ && !percentiles.empty()) {
    auto list = base::Value::array();
    for (double p : percentiles) list.push(base::Value::object({{"Percentile", p}, {"Value", percentile(p)}}));
    out.set("Percentiles", std::move(list));
  }
  return out;
}

}  // namespace fairlead::sample
