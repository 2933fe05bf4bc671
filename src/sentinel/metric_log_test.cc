#include "sentinel/metric_log.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>

namespace fairlead::sentinel {
namespace {

namespace fs = std::filesystem;
const std::string kRecorded = FAIRLEAD_SOURCE_DIR "/tests/flow/commands/";

struct Folder {
  Folder() {
    setenv("TZ", "UTC", 1);
    tzset();
    std::string name = fs::temp_directory_path() / "fairlead-metrics-XXXXXX";
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string path;
};

std::map<std::string, std::string> contents(const std::string& folder) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    std::ifstream in(entry.path(), std::ios::binary);
    out[entry.path().filename()] = std::string{std::istreambuf_iterator<char>(in), {}};
  }
  return out;
}

std::vector<flow::Metric> recorded() {
  std::vector<flow::Metric> out;
  std::ifstream in(kRecorded + "seconds.txt");
  for (std::string line; std::getline(in, line);) out.push_back(parse_thin(line)->values);
  return out;
}

flow::Metric second(std::int64_t time, std::string resource = "a") { return {.time_ms = time * 1000, .resource = std::move(resource), .pass = time % 1000}; }

std::vector<std::int64_t> times(const std::vector<MetricLine>& lines) {
  std::vector<std::int64_t> out;
  for (const MetricLine& line : lines) out.push_back(line.values.time_ms / 1000);
  return out;
}

// The same seconds went through Java's MetricWriter over midnight, with 1,500 bytes a file and three files.
TEST(MetricLog, WritesTheFilesThatJavaWrites) {
  const Folder folder;
  MetricLog log({.folder = folder.path, .app = "shop.web", .max_file_bytes = 1500, .max_files = 3});
  ASSERT_TRUE(log.write(recorded()));
  EXPECT_EQ(contents(folder.path), contents(kRecorded + "log"));
}

TEST(MetricLog, FindsWhatJavaWrote) {
  setenv("TZ", "UTC", 1);
  tzset();
  const MetricLog log({.folder = kRecorded + "log", .app = "shop.web"});
  const auto all = log.find({.begin_ms = 0, .end_ms = INT64_MAX});
  const auto lines = recorded();
  ASSERT_EQ(all.size(), 66U);
  EXPECT_EQ(all.back().values.resource, lines.back().resource);
  EXPECT_EQ(times(log.find({.begin_ms = lines.back().time_ms - 1500, .end_ms = lines.back().time_ms - 1000, .identity = "orders"})),
            (std::vector{lines.back().time_ms / 1000 - 2, lines.back().time_ms / 1000 - 1}));
}

TEST(MetricLog, FindsAcrossFilesAndGaps) {
  const Folder folder;
  MetricLog log({.folder = folder.path, .app = "a", .pid = 7, .max_file_bytes = 60});
  EXPECT_EQ(log.name(), "a-metrics.log.pid7");
  for (const std::int64_t time : {100, 101, 105, 106}) ASSERT_TRUE(log.write(std::vector{second(time), second(time, "b")}));
  EXPECT_EQ(times(log.find({.begin_ms = 101'999, .end_ms = 105'000})), (std::vector<std::int64_t>{101, 101, 105, 105}));
  EXPECT_EQ(times(log.find({.begin_ms = 102'000, .end_ms = 105'999, .identity = "b"})), (std::vector<std::int64_t>{105}));
  EXPECT_EQ(times(log.find({.begin_ms = 102'000, .end_ms = 104'000})), (std::vector<std::int64_t>{}));
  EXPECT_EQ(times(log.find({.begin_ms = 107'000, .end_ms = 200'000})), (std::vector<std::int64_t>{}));
  EXPECT_EQ(times(log.find({.begin_ms = 0, .max_lines = 3})), (std::vector<std::int64_t>{100, 100, 101, 101}));  // whole seconds
  EXPECT_EQ(times(log.find({.begin_ms = 0, .max_lines = 0})), (std::vector<std::int64_t>{}));
}

TEST(MetricLog, LeavesOutWhatIsWrittenAlready) {
  const Folder folder;
  MetricLog log({.folder = folder.path, .app = "a"});
  ASSERT_TRUE(log.write(std::vector{second(100), second(101)}));
  ASSERT_TRUE(log.write(std::vector{second(100), second(101), second(102)}));
  EXPECT_EQ(times(log.find({.begin_ms = 0})), (std::vector<std::int64_t>{100, 101, 102}));
}

TEST(MetricLog, BeginsAFileOfItsOwnBesideAnotherProcess) {
  const Folder folder;
  MetricLog first({.folder = folder.path, .app = "a/../b"}), other({.folder = folder.path, .app = "a/../b"});
  ASSERT_TRUE(first.write(std::vector{second(100)}));
  ASSERT_TRUE(other.write(std::vector{second(101)}));
  EXPECT_EQ(contents(folder.path).size(), 4U);
  EXPECT_TRUE(contents(folder.path).contains("a----b-metrics.log.1970-01-01.1.idx"));
  EXPECT_EQ(times(first.find({.begin_ms = 0})), (std::vector<std::int64_t>{100, 101}));
}

TEST(MetricLog, BeginsAnewWhenItsFilesAreGone) {
  const Folder folder;
  MetricLog log({.folder = folder.path + "/below", .app = "a"});
  ASSERT_TRUE(log.write(std::vector{second(100)}));
  fs::remove_all(folder.path + "/below");
  EXPECT_TRUE(log.find({.begin_ms = 0}).empty());
  ASSERT_TRUE(log.write(std::vector{second(101)}));
  EXPECT_EQ(times(log.find({.begin_ms = 0})), (std::vector<std::int64_t>{101}));
}

TEST(MetricLog, SaysWhereItCannotWrite) {
  MetricLog log({.folder = "/proc/nothing", .app = "a"});
  const auto written = log.write(std::vector{second(100)});
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().text().find("create /proc/nothing/a-metrics.log.1970-01-01"), std::string::npos) << written.error().text();
}

TEST(MetricLog, PassesOverLinesThatCannotBeRead) {
  const Folder folder;
  MetricLog log({.folder = folder.path, .app = "a"});
  ASSERT_TRUE(log.write(std::vector{second(100), second(101)}));
  std::fstream(folder.path + "/a-metrics.log.1970-01-01", std::ios::in | std::ios::out).put('x');
  EXPECT_EQ(times(log.find({.begin_ms = 0})), (std::vector<std::int64_t>{101}));
}

}  // namespace
}  // namespace fairlead::sentinel
