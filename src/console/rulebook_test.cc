#include "console/rulebook.h"

#include <gtest/gtest.h>

#include "store/rules/memory_rule_store.h"

namespace fairlead::console {
namespace {

using base::Value;
using store::RuleKey;
using store::RuleKind;
using What = WriteOutcome::What;

const RuleKey kFlow{"shop", RuleKind::Flow};
const RuleKey kDegrade{"shop", RuleKind::Degrade};

class RulebookTest : public ::testing::Test {
 protected:
  RulebookTest() { open(); }

  void open() {
    book_.reset();
    book_ = std::make_unique<Rulebook>(loop_, store_, *database_, [this] { return ++now_; });
    bool ready = false;
    book_->start([&] { ready = true; });
    until([&] { return ready; });
  }

  // Rounds of the loop until something holds; a bound instead of a time.
  template <class F>
  void until(F holds) {
    for (int i = 0; i < 5000 && !holds(); ++i) loop_.run_once(std::chrono::milliseconds(2));
    ASSERT_TRUE(holds());
  }

  static Value rule(const char* resource, int count) { return Value::object({{"resource", resource}, {"count", count}}); }

  WriteOutcome write(const RuleKey& key, std::vector<Value> rules, std::string expected, bool overwrite = false) {
    std::optional<WriteOutcome> outcome;
    book_->write({.key = key, .expected = std::move(expected), .rules = std::move(rules), .user = "ann", .comment = "", .overwrite_garbage = overwrite},
                 [&](WriteOutcome o) { outcome = std::move(o); });
    for (int i = 0; i < 5000 && !outcome; ++i) loop_.run_once(std::chrono::milliseconds(2));
    EXPECT_TRUE(outcome.has_value());
    return outcome.value_or(WriteOutcome{});
  }
  WriteOutcome write_now(const RuleKey& key, std::vector<Value> rules) { return write(key, std::move(rules), book_->find(key).version()); }

  std::vector<std::string> sources(const RuleKey& key) {
    std::vector<std::string> out;
    for (const Change& change : book_->history(key.app, key.kind, 0, 100)) out.push_back(change.source + ":" + change.user);
    return out;
  }

  io::Loop loop_;
  std::shared_ptr<store::MemoryRuleStore> store_ = std::make_shared<store::MemoryRuleStore>();
  std::unique_ptr<Database> database_ = *Database::open(":memory:");
  std::int64_t now_ = 1000;
  std::unique_ptr<Rulebook> book_;
};

TEST_F(RulebookTest, WhatIsAcknowledgedIsStored) {
  ASSERT_EQ(write_now(kFlow, {rule("a", 1)}).what, What::Done);
  EXPECT_EQ(store_->read(kFlow)->text, R"([{"resource":"a","count":1,"id":1}])");
  EXPECT_EQ(sources(kFlow), (std::vector<std::string>{"console:ann"}));
  EXPECT_EQ(book_->apps(), (std::vector<std::string>{"shop"}));
}

TEST_F(RulebookTest, KindsOfOneAppNeverTouchEachOther) {
  ASSERT_EQ(write_now(kFlow, {rule("a", 1)}).what, What::Done);
  Value breaker = rule("a", 50);
  breaker.set("timeWindow", 10);
  ASSERT_EQ(write_now(kDegrade, {breaker}).what, What::Done);
  EXPECT_EQ(book_->find(kFlow).rules.size(), 1u);
  EXPECT_NE(store_->read(kFlow)->text, store_->read(kDegrade)->text);
}

TEST_F(RulebookTest, OneOfTwoWhoReadTheSameLoses) {
  const std::string version = book_->find(kFlow).version();
  ASSERT_EQ(write(kFlow, {rule("a", 1)}, version).what, What::Done);
  ASSERT_EQ(write(kFlow, {rule("b", 2)}, version).what, What::Conflict);
  EXPECT_EQ(book_->find(kFlow).rules[0]["resource"].as_string(), "a");
}

TEST_F(RulebookTest, TwoAtOnceAreJudgedOneAfterTheOther) {
  std::vector<What> said;
  for (const char* name : {"a", "b"})
    book_->write({.key = kFlow, .expected = "", .rules = {rule(name, 1)}, .user = name, .comment = ""}, [&](const WriteOutcome& o) { said.push_back(o.what); });
  until([&] { return said.size() == 2; });
  EXPECT_EQ(said, (std::vector{What::Done, What::Conflict}));
}

TEST_F(RulebookTest, AForeignWriterIsFollowedAndLosesNothing) {
  const std::string version = book_->find(kFlow).version();
  store_->put(kFlow, R"([{"resource":"x","count":3}])");
  // The console has not read it yet: the store itself refuses.
  EXPECT_EQ(write(kFlow, {rule("a", 1)}, version).what, What::Conflict);
  EXPECT_EQ(book_->find(kFlow).rules[0]["resource"].as_string(), "x");
  EXPECT_EQ(sources(kFlow), (std::vector<std::string>{"outside:"}));
}

TEST_F(RulebookTest, InvalidRulesAreNamedAllAndNothingIsWritten) {
  Value bad = rule("b", -1);
  bad.set("enabled", false);
  const WriteOutcome outcome = write_now(kFlow, {rule("", 1), rule("ok", 1), bad});
  ASSERT_EQ(outcome.what, What::Invalid);
  ASSERT_EQ(outcome.faults.size(), 2u);
  EXPECT_EQ(outcome.faults[0].index, 0);
  EXPECT_EQ(outcome.faults[1].index, 2);
  EXPECT_EQ(outcome.faults[1].field, "count");
  EXPECT_EQ(store_->read(kFlow)->text, "");
}

TEST_F(RulebookTest, DisabledRulesAreKeptButNotStored) {
  Value off = rule("b", 2);
  off.set("enabled", false);
  ASSERT_EQ(write_now(kFlow, {rule("a", 1), off, rule("c", 3)}).what, What::Done);
  EXPECT_EQ(store_->read(kFlow)->text.find("\"b\""), std::string::npos);
  open();
  const auto all = book_->find(kFlow).all();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1]["resource"].as_string(), "b");
  EXPECT_FALSE(all[1]["enabled"].as_bool(true));

  // Its own change is one too: who read before it must read again.
  const std::string version = book_->find(kFlow).version();
  std::vector<Value> only = {all[0], all[2]};
  ASSERT_EQ(write(kFlow, only, version).what, What::Done);
  EXPECT_EQ(write(kFlow, only, version).what, What::Conflict);
}

TEST_F(RulebookTest, GarbageKeepsTheLastGoodRulesAndIsNotOverwrittenUnasked) {
  ASSERT_EQ(write_now(kFlow, {rule("a", 1)}).what, What::Done);
  store_->put(kFlow, R"([{"resource":"a",)");
  until([&] { return !book_->find(kFlow).faults.empty(); });
  EXPECT_EQ(book_->find(kFlow).rules.size(), 1u);
  EXPECT_EQ(write_now(kFlow, {rule("b", 2)}).what, What::Garbage);
  EXPECT_EQ(store_->read(kFlow)->text, R"([{"resource":"a",)");
  EXPECT_EQ(write(kFlow, {rule("b", 2)}, book_->find(kFlow).version(), true).what, What::Done);
  EXPECT_TRUE(book_->find(kFlow).faults.empty());

  // Good rules beside a bad one are obeyed, and the bad one is named.
  store_->put(kFlow, R"([{"resource":"a","count":1},{"resource":"","count":1}])");
  until([&] { return !book_->find(kFlow).faults.empty(); });
  EXPECT_EQ(book_->find(kFlow).rules.size(), 1u);
  EXPECT_EQ(book_->find(kFlow).faults[0].index, 1);
}

TEST_F(RulebookTest, LastRulesAreThereWhenTheStoreIsNot) {
  ASSERT_EQ(write_now(kFlow, {rule("a", 1)}).what, What::Done);
  store_->away = true;
  open();
  EXPECT_EQ(book_->find(kFlow).rules.size(), 1u);
  EXPECT_EQ(write_now(kFlow, {rule("b", 2)}).what, What::Failed);
  store_->put(kFlow, R"([{"resource":"x","count":3}])");
  store_->come_back();
  until([&] { return book_->find(kFlow).rules[0]["resource"].as_string() == "x"; });
}

TEST_F(RulebookTest, AWriteWhoseAnswerWasLostIsInTheHistoryOnce) {
  store_->silent = true;
  ASSERT_EQ(write_now(kFlow, {rule("a", 1)}).what, What::Failed);
  until([&] { return !book_->find(kFlow).rules.empty(); });
  EXPECT_EQ(sources(kFlow), (std::vector<std::string>{"console:ann"}));

  // And one that was not done is not in it.
  store_->silent = false;
  store_->away = true;
  ASSERT_EQ(write_now(kFlow, {rule("b", 1)}).what, What::Failed);
  store_->come_back();
  until([&] {
    Query rows = database_->query("SELECT count(*) FROM changes");
    return rows.next() && rows.integer(0) == 1;
  });
  EXPECT_EQ(sources(kFlow), (std::vector<std::string>{"console:ann"}));
}

TEST_F(RulebookTest, ChangesMadeWhileItWasAwayAreFound) {
  ASSERT_EQ(write_now(kFlow, {rule("a", 1)}).what, What::Done);
  book_.reset();
  store_->put(kFlow, R"([{"resource":"x","count":3}])");
  open();
  EXPECT_EQ(sources(kFlow), (std::vector<std::string>{"outside:", "console:ann"}));
  const Change change = book_->history("shop", RuleKind::Flow, 0, 1)[0];
  EXPECT_NE(change.before.find("\"a\""), std::string::npos);
  EXPECT_NE(change.after.find("\"x\""), std::string::npos);
}

TEST_F(RulebookTest, ADocumentThatWasRemovedIsGone) {
  ASSERT_EQ(write_now(kFlow, {rule("a", 1)}).what, What::Done);
  ASSERT_TRUE(store_->remove(kFlow, store_->read(kFlow)->version));
  until([&] { return book_->find(kFlow).version().empty(); });
  EXPECT_TRUE(book_->find(kFlow).rules.empty());
  EXPECT_EQ(write(kFlow, {rule("b", 1)}, "").what, What::Done);
}

TEST_F(RulebookTest, EmptyDocumentsAreRemovedWhenAskedAndOthersStay) {
  const auto remove = [&] {
    std::optional<base::Status> done;
    book_->remove_empty("shop", [&](base::Status status) { done = std::move(status); });
    until([&] { return done.has_value(); });
    return done->has_value();
  };
  write_now(kFlow, {rule("/a", 1)});
  write_now(kFlow, {});
  write_now(kDegrade, {Value::object({{"resource", "/a"}, {"count", 1}, {"timeWindow", 1}})});
  const auto history = sources(kFlow);
  EXPECT_TRUE(remove());
  EXPECT_EQ(store_->list()->size(), 1u);
  EXPECT_EQ(book_->apps(), std::vector<std::string>{"shop"});
  write_now(kDegrade, {});
  store_->away = true;
  EXPECT_FALSE(remove());
  EXPECT_EQ(book_->apps(), std::vector<std::string>{"shop"});
  store_->away = false;
  EXPECT_TRUE(remove());
  EXPECT_EQ(book_->apps(), std::vector<std::string>{});
  open();
  EXPECT_EQ(book_->apps(), std::vector<std::string>{});
  EXPECT_EQ(sources(kFlow), history);
  EXPECT_EQ(write_now(kFlow, {rule("/b", 2)}).what, What::Done);
}

TEST(RuleDocuments, CompareTakesTheSameRulesInAnyOrder) {
  const char* stored = R"([{"resource":"a","count":1,"id":7},{"resource":"b","count":2.0}])";
  EXPECT_TRUE(compare_rules(RuleKind::Flow, stored, R"([{"resource":"b","count":2,"limitApp":"default"},{"resource":"a","count":1}])").none());
  const Difference difference = compare_rules(RuleKind::Flow, stored, R"([{"resource":"b","count":2},{"resource":"c","count":1}])");
  ASSERT_EQ(difference.missing.size(), 1u);
  EXPECT_EQ(difference.missing[0]["id"].as_int(), 7);
  ASSERT_EQ(difference.extra.size(), 1u);
  const ChangeCounts counts = count_changes(RuleKind::Flow, stored, R"([{"resource":"a","count":5},{"resource":"c","count":1}])");
  EXPECT_EQ(counts.changed, 1);
  EXPECT_EQ(counts.added, 1);
  EXPECT_EQ(counts.removed, 1);
}

TEST(RuleDocuments, CopiesGetNumbersOfTheirOwn) {
  std::int64_t next = 5;
  const std::vector<Value> rules = {Value::object({{"id", 2}, {"enabled", true}}), Value::object({{"id", 2}}), Value::object()};
  EXPECT_EQ(print_document(rules, next), R"([{"id":2},{"id":5},{"id":6}])");
}

}  // namespace
}  // namespace fairlead::console
