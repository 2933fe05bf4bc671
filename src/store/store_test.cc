#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "store/memory_store.h"
#include "store/sqlite_store.h"

namespace fairlead::store {
namespace {

using base::Code;
using base::Value;
using std::chrono_literals::operator""ms;

Value pod(std::string_view phase) {
  Value v;
  v["kind"] = "Pod";
  v["status"]["phase"] = phase;
  return v;
}

uint64_t revision_of(const ObjectPtr& o) { return std::stoull((*o)["metadata"]["resourceVersion"].as_string()); }

struct Log {
  std::vector<std::string> lines;
  auto callback() {
    return [this](const Event& e) {
      lines.push_back(std::string("AMD").substr(static_cast<size_t>(e.type), 1) + e.key.name + std::to_string(e.revision));
    };
  }
};

TEST(Store, GivesEachWriteTheNextRevision) {
  io::Loop loop;
  MemoryStore s(loop);
  auto a = s.create({"pods", "d", "a"}, pod("Pending"));
  ASSERT_TRUE(a);
  auto b = s.update({"pods", "d", "a"}, pod("Running"), revision_of(*a));
  ASSERT_TRUE(b);
  EXPECT_EQ(revision_of(*b), revision_of(*a) + 1);
  EXPECT_EQ(s.revision(), revision_of(*b));
}

TEST(Store, RefusesAStaleRevision) {
  io::Loop loop;
  MemoryStore s(loop);
  auto a = s.create({"pods", "d", "a"}, pod("Pending"));
  ASSERT_TRUE(s.update({"pods", "d", "a"}, pod("Running"), 0));
  EXPECT_EQ(s.update({"pods", "d", "a"}, pod("Failed"), revision_of(*a)).error().code, Code::kConflict);
  EXPECT_EQ(s.remove({"pods", "d", "a"}, revision_of(*a)).error().code, Code::kConflict);
  EXPECT_EQ(s.create({"pods", "d", "a"}, pod("x")).error().code, Code::kAlreadyExists);
  EXPECT_EQ(s.remove({"pods", "d", "b"}, 0).error().code, Code::kNotFound);
}

TEST(Store, AnUpdateThatChangesNothingWritesNothing) {
  io::Loop loop;
  MemoryStore s(loop);
  auto a = s.create({"pods", "d", "a"}, pod("Pending"));
  auto b = s.update({"pods", "d", "a"}, pod("Pending"), 0);
  EXPECT_EQ(revision_of(*a), revision_of(*b));
}

TEST(Store, ListsOneNamespaceOrAllInOrder) {
  io::Loop loop;
  MemoryStore s(loop);
  for (const char* ns : {"b", "a"})
    for (const char* name : {"2", "1"}) ASSERT_TRUE(s.create({"pods", ns, name}, pod(std::string(ns) + name)));
  ASSERT_TRUE(s.create({"podsx", "a", "1"}, pod("no")));
  auto all = s.list("pods", "");
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ((*all[0])["status"]["phase"].as_string(), "a1");
  EXPECT_EQ((*all[3])["status"]["phase"].as_string(), "b2");
  EXPECT_EQ(s.list("pods", "b").size(), 2u);
}

TEST(Store, WatchReplaysHistoryThenFollows) {
  io::Loop loop;
  MemoryStore s(loop);
  auto a = s.create({"pods", "d", "a"}, pod("Pending"));
  ASSERT_TRUE(s.create({"pods", "e", "other"}, pod("Pending")));
  ASSERT_TRUE(s.update({"pods", "d", "a"}, pod("Running"), 0));
  Log log;
  auto w = s.watch("pods", "d", revision_of(*a), log.callback());
  ASSERT_TRUE(w);
  ASSERT_TRUE(s.remove({"pods", "d", "a"}, 0));
  EXPECT_TRUE(log.lines.empty()) << "never inside a call";
  loop.run_once(0ms);
  EXPECT_EQ(log.lines, (std::vector<std::string>{"Ma3", "Da4"}));
}

TEST(Store, WatchFromBeforeTheHistoryIsExpired) {
  io::Loop loop;
  MemoryStore s(loop, 4);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(s.create({"pods", "d", std::to_string(i)}, pod("x")));
  loop.run_once(0ms);
  Log log;
  auto w = s.watch("pods", "", 3, log.callback());
  ASSERT_FALSE(w);
  EXPECT_EQ(w.error().code, Code::kExpired);
  EXPECT_EQ(s.watch("pods", "", 99, log.callback()).error().code, Code::kExpired);
  EXPECT_TRUE(s.watch("pods", "", s.oldest_revision(), log.callback()));
}

TEST(Store, PositionMovesPastWhatIsNotForTheWatch) {
  io::Loop loop;
  MemoryStore s(loop);
  Log log;
  auto w = s.watch("pods", "", 0, log.callback());
  ASSERT_TRUE(w);
  ASSERT_TRUE(s.create({"services", "d", "a"}, pod("x")));
  EXPECT_EQ((*w)->position(), 0u);
  loop.run_once(0ms);
  EXPECT_EQ((*w)->position(), 1u);
  EXPECT_TRUE(log.lines.empty());
}

TEST(Store, CallbacksMayWriteCancelAndSubscribe) {
  io::Loop loop;
  MemoryStore s(loop);
  std::unique_ptr<Subscription> first, second;
  Log log;
  int calls = 0;
  first = *s.watch("pods", "", 0, [&](const Event& e) {
    ++calls;
    ASSERT_TRUE(s.create({"pods", "d", "b"}, pod("x")));
    second = *s.watch("pods", "", e.revision, log.callback());
    first.reset();
  });
  ASSERT_TRUE(s.create({"pods", "d", "a"}, pod("x")));
  for (int i = 0; i < 3; ++i) loop.run_once(0ms);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(log.lines, std::vector<std::string>{"Ab2"});
}

class SqliteStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("fairlead-store-" + std::to_string(getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string path() const { return dir_ / "state.db"; }
  std::filesystem::path dir_;
};

TEST_F(SqliteStoreTest, KeepsObjectsAndRevisionsOverAReopen) {
  io::Loop loop;
  {
    auto s = SqliteStore::open(loop, path());
    ASSERT_TRUE(s) << s.error().text();
    ASSERT_TRUE((*s)->create({"pods", "d", "a"}, pod("Pending")));
    ASSERT_TRUE((*s)->create({"pods", "d", "b"}, pod("Pending")));
    ASSERT_TRUE((*s)->remove({"pods", "d", "b"}, 0));
  }
  auto s = SqliteStore::open(loop, path());
  ASSERT_TRUE(s);
  EXPECT_EQ((*s)->revision(), 3u);
  EXPECT_EQ((*s)->list("pods", "").size(), 1u);
  EXPECT_EQ((**(*s)->get({"pods", "d", "a"}))["status"]["phase"].as_string(), "Pending");
  EXPECT_FALSE((*s)->get({"pods", "d", "b"}));
}

TEST_F(SqliteStoreTest, WhatWasAcknowledgedSurvivesAKill) {
  pid_t child = fork();
  if (child == 0) {
    io::Loop loop;
    auto s = SqliteStore::open(loop, path());
    bool ok = s && (*s)->create({"pods", "d", "a"}, pod("Pending"));
    if (ok) ::kill(getpid(), SIGKILL);
    _exit(1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  io::Loop loop;
  auto s = SqliteStore::open(loop, path());
  ASSERT_TRUE(s) << s.error().text();
  EXPECT_TRUE((*s)->get({"pods", "d", "a"}));
}

TEST_F(SqliteStoreTest, SaysWhatAForeignFileIs) {
  FILE* f = fopen(path().c_str(), "w");
  fputs(std::string(5000, 'x').c_str(), f);
  fclose(f);
  io::Loop loop;
  auto s = SqliteStore::open(loop, path());
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace fairlead::store
