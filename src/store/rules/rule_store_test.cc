// One contract over every backend. A ZooKeeper is taken from FAIRLEAD_TEST_ZOOKEEPER ("HOST:PORT"), which tests/store/test_contract.py sets.
#include "store/rules/rule_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <thread>

#include "store/rules/backend.h"

namespace fairlead::store {
namespace {

using base::Code;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

RuleKey flow_of(const char* app) { return {app, RuleKind::Flow}; }

// What a watch told, to be waited for.
class Told {
 public:
  auto callback() {
    return [this](const std::optional<RuleKey>& key) {
      std::lock_guard lock(mutex_);
      if (key)
        keys_.insert(*key);
      else
        ++everything_;
      ++calls_;
      changed_.notify_all();
    };
  }
  bool wait(const RuleKey& key) {
    return wait_for([&] { return keys_.contains(key); });
  }
  bool wait_everything() {
    return wait_for([&] { return everything_ > 0; });
  }
  void forget() {
    std::lock_guard lock(mutex_);
    keys_.clear();
    everything_ = 0;
  }
  int calls() {
    std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  template <class Condition>
  bool wait_for(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 10s, condition);
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<RuleKey> keys_;
  int everything_ = 0;
  int calls_ = 0;
};

class RuleStoreContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/fairlead-rules-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    const std::string_view backend = GetParam();
    if (backend == "sqlite") where_ = "sqlite:" + folder_ + "/rules.db";
    if (backend == "dir") where_ = "dir:" + folder_ + "/rules";
    if (backend == "zk") {
      where_ = std::string("zk:") + std::getenv("FAIRLEAD_TEST_ZOOKEEPER");
      options_.root = "/contract" + folder_.substr(folder_.rfind('-'));
    }
    store_ = open();
    ASSERT_NE(store_, nullptr);
  }
  void TearDown() override {
    store_.reset();
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::unique_ptr<RuleStore> open() {
    auto store = open_rule_store(where_, options_);
    EXPECT_TRUE(store) << store.error().text();
    return store ? std::move(*store) : nullptr;
  }
  std::string put(RuleStore& store, const RuleKey& key, std::string_view text) {
    auto read = store.read(key);
    EXPECT_TRUE(read);
    auto version = store.write(key, text, read->version);
    EXPECT_TRUE(version) << version.error().text();
    return version.value_or("");
  }

  std::string folder_;
  std::string where_;
  RuleStoreOptions options_;
  std::unique_ptr<RuleStore> store_;
};

TEST_P(RuleStoreContract, NamesItself) { EXPECT_EQ(store_->name(), where_); }

TEST_P(RuleStoreContract, HasNothingAtFirst) {
  auto keys = store_->list();
  ASSERT_TRUE(keys) << keys.error().text();
  EXPECT_TRUE(keys->empty());
  auto document = store_->read(flow_of("shop"));
  ASSERT_TRUE(document) << document.error().text();
  EXPECT_EQ(document->text, "");
  EXPECT_EQ(document->version, "");
  EXPECT_TRUE(store_->health().reachable);
  EXPECT_TRUE(store_->health().writable);
  EXPECT_EQ(store_->health().detail, "");
}

TEST_P(RuleStoreContract, GivesBackTheBytes) {
  for (std::string_view text : {"[{\"resource\":\"/a\"}]", "", " [\n] ", "\xff\xfe no JSON", "with\0zero", "规则"}) {
    const std::string version = put(*store_, flow_of("shop"), text);
    auto read = store_->read(flow_of("shop"));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->text, text);
    EXPECT_EQ(read->version, version);
    EXPECT_NE(version, "");
  }
  const std::string zero("a\0b", 3);
  put(*store_, flow_of("shop"), zero);
  EXPECT_EQ(store_->read(flow_of("shop"))->text, zero);
}

TEST_P(RuleStoreContract, EachWriteHasAVersionOfItsOwn) {
  std::set<std::string> versions;
  for (int i = 0; i < 20; ++i) versions.insert(put(*store_, flow_of("shop"), i % 2 ? "[1]" : "[]"));
  EXPECT_EQ(versions.size(), 20U);
  for (int i = 0; i < 5; ++i) {
    auto now = store_->read(flow_of("shop"));
    ASSERT_TRUE(store_->remove(flow_of("shop"), now->version));
    auto version = store_->write(flow_of("shop"), "[]", "");
    ASSERT_TRUE(version) << version.error().text();
    versions.insert(*version);
  }
  EXPECT_EQ(versions.size(), 25U);
}

TEST_P(RuleStoreContract, OfTwoEditsOneWins) {
  auto first = store_->write(flow_of("shop"), "[1]", "");
  ASSERT_TRUE(first);
  auto again = store_->write(flow_of("shop"), "[2]", "");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kConflict);
  auto second = store_->write(flow_of("shop"), "[3]", *first);
  ASSERT_TRUE(second);
  auto late = store_->write(flow_of("shop"), "[4]", *first);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kConflict);
  EXPECT_EQ(store_->remove(flow_of("shop"), *first).error().code, Code::kConflict);
  EXPECT_EQ(store_->read(flow_of("shop"))->text, "[3]");
  ASSERT_TRUE(store_->remove(flow_of("shop"), *second));
  EXPECT_EQ(store_->read(flow_of("shop"))->version, "");
  EXPECT_EQ(store_->write(flow_of("shop"), "[5]", *second).error().code, Code::kConflict);
  EXPECT_EQ(store_->remove(flow_of("shop"), *second).error().code, Code::kConflict);
  EXPECT_TRUE(store_->remove(flow_of("shop"), ""));
  EXPECT_EQ(store_->read(flow_of("shop"))->version, "");
}

TEST_P(RuleStoreContract, WritersInManyThreadsAndStoresLoseNothing) {
  constexpr int kWriters = 4;
  constexpr int kEach = 10;
  std::vector<std::unique_ptr<RuleStore>> stores;
  for (int i = 0; i < 2; ++i) stores.push_back(open());
  std::vector<std::jthread> threads;
  for (int w = 0; w < kWriters; ++w)
    threads.emplace_back([&, w] {
      RuleStore& store = *stores[static_cast<std::size_t>(w % 2)];
      for (int done = 0; done < kEach;) {
        auto now = store.read(flow_of("shop"));
        ASSERT_TRUE(now) << now.error().text();
        auto written = store.write(flow_of("shop"), now->text + static_cast<char>('a' + w), now->version);
        if (written)
          ++done;
        else
          ASSERT_EQ(written.error().code, Code::kConflict) << written.error().text();
      }
    });
  threads.clear();
  const std::string text = store_->read(flow_of("shop"))->text;
  for (int w = 0; w < kWriters; ++w) EXPECT_EQ(std::ranges::count(text, static_cast<char>('a' + w)), kEach);
}

TEST_P(RuleStoreContract, KindsAndAppsAreApart) {
  std::vector<RuleKey> keys;
  for (const char* app : {"b", "a"})
    for (RuleKind kind : kRuleKinds) {
      keys.push_back({app, kind});
      put(*store_, keys.back(), std::string(app) + std::string(to_string(kind)));
    }
  for (const RuleKey& key : keys) EXPECT_EQ(store_->read(key)->text, key.app + std::string(to_string(key.kind)));
  std::ranges::sort(keys);
  EXPECT_EQ(*store_->list(), keys);
  ASSERT_TRUE(store_->remove(keys[0], store_->read(keys[0])->version));
  keys.erase(keys.begin());
  EXPECT_EQ(*store_->list(), keys);
}

TEST_P(RuleStoreContract, AppsMayHaveAnyOrdinaryName) {
  const std::vector<std::string> apps = {"shop-1.2", "订单服务", ".hidden", "a%2Fb", "100%", "%", "%41", "with space", "a\\b", "…", "😀", "lock", ".lock", "\"'$(x)",
                                         "zookeeper", "\xEE\x80\x80 private", std::string(60, 'x') + "é"};
  std::vector<RuleKey> keys;
  for (const auto& app : apps) {
    keys.push_back({app, RuleKind::Degrade});
    put(*store_, keys.back(), app);
  }
  std::ranges::sort(keys);
  EXPECT_EQ(*store_->list(), keys);
  for (const RuleKey& key : keys) EXPECT_EQ(store_->read(key)->text, key.app);
}

TEST_P(RuleStoreContract, RefusesOtherNames) {
  for (const std::string& app : {std::string(""), std::string("."), std::string(".."), std::string("a/b"), std::string("a\nb"), std::string("\xC2\x85"),
                                 std::string("\xff"), std::string("\xed\xa0\x80"), std::string("a\0b", 3), std::string(256, 'a')}) {
    const RuleKey key{app, RuleKind::Flow};
    EXPECT_EQ(store_->read(key).error().code, Code::kInvalidArgument) << app;
    EXPECT_EQ(store_->write(key, "[]", "").error().code, Code::kInvalidArgument) << app;
    EXPECT_EQ(store_->remove(key, "").error().code, Code::kInvalidArgument) << app;
  }
  EXPECT_TRUE(store_->list()->empty());
}

TEST_P(RuleStoreContract, RefusesWhatIsTooLarge) {
  auto written = store_->write(flow_of("shop"), std::string(kMaxDocumentBytes + 1, ' '), "");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kResourceExhausted);
  EXPECT_EQ(store_->read(flow_of("shop"))->version, "");
  EXPECT_TRUE(store_->health().writable);
}

TEST_P(RuleStoreContract, TellsOwnAndOthersChanges) {
  Told told;
  auto watch = store_->watch(told.callback());
  ASSERT_TRUE(watch) << watch.error().text();
  put(*store_, flow_of("mine"), "[]");
  EXPECT_TRUE(told.wait(flow_of("mine")));
  auto other = open();
  for (const char* text : {"[1]", "[2]", "[2]"}) {
    told.forget();
    put(*other, {"theirs", RuleKind::System}, text);
    EXPECT_TRUE(told.wait({"theirs", RuleKind::System})) << text;
  }
  told.forget();
  ASSERT_TRUE(other->remove({"theirs", RuleKind::System}, store_->read({"theirs", RuleKind::System})->version));
  EXPECT_TRUE(told.wait({"theirs", RuleKind::System}));
  told.forget();
  put(*other, {"theirs", RuleKind::System}, "[3]");
  EXPECT_TRUE(told.wait({"theirs", RuleKind::System}));
}

TEST_P(RuleStoreContract, TellsWhateverIsWrittenAfterTheWatchBegan) {
  auto other = open();
  for (int i = 0; i < 20; ++i) {
    Told told;
    auto fresh = open();
    auto watch = fresh->watch(told.callback());
    ASSERT_TRUE(watch);
    const std::string app = "app" + std::to_string(i);
    put(*other, {app, RuleKind::Flow}, "[]");
    ASSERT_TRUE(told.wait({app, RuleKind::Flow})) << i;
  }
}

TEST_P(RuleStoreContract, AWatchThatEndedIsSilent) {
  Told first;
  Told second;
  auto one = store_->watch(first.callback());
  auto two = store_->watch(second.callback());
  ASSERT_TRUE(one && two);
  put(*store_, flow_of("a"), "[]");
  EXPECT_TRUE(first.wait(flow_of("a")));
  EXPECT_TRUE(second.wait(flow_of("a")));
  one->reset();
  const int calls = first.calls();
  put(*store_, flow_of("b"), "[]");
  EXPECT_TRUE(second.wait(flow_of("b")));
  EXPECT_EQ(first.calls(), calls);
  store_.reset();  // before its watch
  two->reset();
}

TEST_P(RuleStoreContract, KeepsEverythingOverARestart) {
  const std::string version = put(*store_, flow_of("shop"), "[1]");
  store_.reset();
  store_ = open();
  EXPECT_EQ(store_->read(flow_of("shop"))->text, "[1]");
  EXPECT_TRUE(store_->write(flow_of("shop"), "[2]", version));
}

std::vector<const char*> backends() {
  std::vector<const char*> names = {"sqlite", "dir"};
  if (std::getenv("FAIRLEAD_TEST_ZOOKEEPER")) names.push_back("zk");
  return names;
}

INSTANTIATE_TEST_SUITE_P(Backends, RuleStoreContract, testing::ValuesIn(backends()), [](const auto& info) { return std::string(info.param); });

TEST(RuleStore, SaysWhichStoresThereAre) {
  for (const char* where : {"", "rules.db", "etcd:host", "sqlite:", "dir:", "zk:", "zk:/root"}) {
    auto store = open_rule_store(where);
    ASSERT_FALSE(store) << where;
    EXPECT_EQ(store.error().code, Code::kInvalidArgument);
    EXPECT_NE(store.error().message.find(':'), std::string::npos);
  }
}

TEST(RuleStore, KindsHaveNames) {
  for (RuleKind kind : kRuleKinds) EXPECT_EQ(rule_kind(to_string(kind)), kind);
  EXPECT_EQ(rule_kind("flow"), std::nullopt);
}

TEST(RuleSignals, ManyChangesAtOnceBecomeOne) {
  RuleSignals signals;
  std::mutex held;
  std::unique_lock hold(held);
  std::atomic<int> calls = 0;
  std::atomic<int> everything = 0;
  auto watch = signals.add([&](const std::optional<RuleKey>& key) {
    std::lock_guard lock(held);
    ++calls;
    if (!key) ++everything;
  });
  for (int i = 0; i < 25'000; ++i) signals.changed(RuleKey{"a", RuleKind::Flow});
  hold.unlock();
  for (int i = 0; i < 1000 && everything < 1; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_GE(everything, 1);
  EXPECT_LT(calls, 25'000);
}

// Files and folders as other programs make them.
class ForeignFiles : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/fairlead-rules-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<RuleStore> open(const std::string& where) {
    auto store = open_rule_store(where);
    EXPECT_TRUE(store) << store.error().text();
    return store ? std::move(*store) : nullptr;
  }
  void file(const std::string& path, std::string_view text) {
    std::filesystem::create_directories(std::filesystem::path(folder_ + "/" + path).parent_path());
    std::ofstream(folder_ + "/" + path, std::ios::binary) << text;
  }
  std::string folder_;
};

TEST_F(ForeignFiles, AnEditInPlaceChangesTheVersionAndIsTold) {
  file("shop/flow_rule.json", "[1]");
  auto store = open("dir:" + folder_);
  Told told;
  auto watch = store->watch(told.callback());
  ASSERT_TRUE(watch);
  auto before = store->read(flow_of("shop"));
  file("shop/flow_rule.json", "[2]");
  EXPECT_TRUE(told.wait(flow_of("shop")));
  EXPECT_EQ(store->write(flow_of("shop"), "[3]", before->version).error().code, Code::kConflict);
  EXPECT_EQ(store->read(flow_of("shop"))->text, "[2]");
}

TEST_F(ForeignFiles, NewFoldersMovedFoldersAndLinksAreTold) {
  auto store = open("dir:" + folder_);
  Told told;
  auto watch = store->watch(told.callback());
  ASSERT_TRUE(watch);
  file("one/flow_rule.json", "[]");
  EXPECT_TRUE(told.wait(flow_of("one")));
  told.forget();
  std::filesystem::rename(folder_ + "/one", folder_ + "/two");
  EXPECT_TRUE(told.wait(flow_of("one")));
  EXPECT_TRUE(told.wait(flow_of("two")));
  EXPECT_EQ(*store->list(), std::vector<RuleKey>{flow_of("two")});
  // As Kubernetes mounts a ConfigMap: a link that is replaced beside the files.
  file("mounted/..1/flow_rule.json", "[1]");
  file("mounted/..2/flow_rule.json", "[22]");
  std::filesystem::create_symlink("..1", folder_ + "/mounted/..data");
  std::filesystem::create_symlink("..data/flow_rule.json", folder_ + "/mounted/flow_rule.json");
  EXPECT_TRUE(told.wait(flow_of("mounted")));
  told.forget();
  std::filesystem::create_symlink("..2", folder_ + "/mounted/..tmp");
  std::filesystem::rename(folder_ + "/mounted/..tmp", folder_ + "/mounted/..data");
  EXPECT_TRUE(told.wait(flow_of("mounted")));
  EXPECT_EQ(store->read(flow_of("mounted"))->text, "[22]");
}

TEST_F(ForeignFiles, OthersThingsArePassedOver) {
  file("README.md", "hello");
  file(".git/flow_rule.json", "[]");
  file("shop/notes.txt", "x");
  file("shop/flow_rule.json/x", "a folder in its place");
  file("shop/system_rule.json", "[]");
  file("bad%2e/flow_rule.json", "[]");  // not how a name is written here, but a name
  auto store = open("dir:" + folder_);
  EXPECT_EQ(*store->list(), (std::vector<RuleKey>{{"bad%2e", RuleKind::Flow}, {"shop", RuleKind::System}}));
  auto read = store->read(flow_of("shop"));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kFailedPrecondition);
}

TEST_F(ForeignFiles, AFolderThatIsGoneIsNotAnEmptyStore) {
  auto store = open("dir:" + folder_ + "/rules");
  ASSERT_TRUE(store->write(flow_of("shop"), "[]", ""));
  Told told;
  auto watch = store->watch(told.callback());
  ASSERT_TRUE(watch);
  std::filesystem::rename(folder_ + "/rules", folder_ + "/away");
  EXPECT_EQ(store->read(flow_of("shop")).error().code, Code::kUnavailable);
  EXPECT_EQ(store->list().error().code, Code::kUnavailable);
  EXPECT_EQ(store->write(flow_of("shop"), "[1]", "").error().code, Code::kUnavailable);
  EXPECT_FALSE(store->health().reachable);
  EXPECT_TRUE(told.wait_everything());
  std::filesystem::rename(folder_ + "/away", folder_ + "/rules");
  EXPECT_EQ(store->read(flow_of("shop"))->text, "[]");
  EXPECT_TRUE(store->health().reachable);
}

TEST_F(ForeignFiles, AFileThatIsGoneIsNotAnEmptyStore) {
  const std::string path = folder_ + "/rules.db";
  auto store = open("sqlite:" + path);
  ASSERT_TRUE(store->write(flow_of("shop"), "[]", ""));
  Told told;
  auto watch = store->watch(told.callback());
  ASSERT_TRUE(watch);
  auto move = [&](const std::string& from, const std::string& to) {
    for (const char* part : {"", "-wal", "-shm"})
      if (std::filesystem::exists(from + part)) std::filesystem::rename(from + part, to + part);
  };
  move(path, path + ".away");
  EXPECT_EQ(store->read(flow_of("shop")).error().code, Code::kUnavailable);
  EXPECT_EQ(store->write(flow_of("shop"), "[1]", "").error().code, Code::kUnavailable);
  EXPECT_TRUE(told.wait_everything());
  EXPECT_FALSE(store->health().reachable);
  move(path + ".away", path);
  auto read = store->read(flow_of("shop"));
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->text, "[]");
}

TEST_F(ForeignFiles, AFileThatIsNoDatabaseIsNotTouched) {
  const std::string garbage(5000, 'x');
  file("rules.db", garbage);
  auto store = open_rule_store("sqlite:" + folder_ + "/rules.db");
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, Code::kFailedPrecondition);
  EXPECT_NE(store.error().message.find("move it away"), std::string::npos) << store.error().message;
  std::ifstream in(folder_ + "/rules.db");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), garbage);
}

}  // namespace
}  // namespace fairlead::store
