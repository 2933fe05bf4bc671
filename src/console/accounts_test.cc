#include "console/accounts.h"

#include <gtest/gtest.h>

namespace fairlead::console {
namespace {

using base::Code;

class AccountsTest : public ::testing::Test {
 protected:
  std::int64_t now_ = 1'000'000;
  std::unique_ptr<Database> database_ = *Database::open(":memory:");
  Accounts accounts_{*database_, [this] { return now_; }};
};

TEST_F(AccountsTest, FirstStartMakesOnePasswordAndNeverAgain) {
  const auto password = accounts_.first_start();
  ASSERT_TRUE(password && *password);
  EXPECT_GE((*password)->size(), 16u);
  const auto again = accounts_.first_start();
  EXPECT_TRUE(again && !*again);
  const auto token = accounts_.log_in("admin", **password, "1.2.3.4");
  ASSERT_TRUE(token);
  const auto user = accounts_.session(*token);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->role, Role::Admin);
  EXPECT_TRUE(user->must_change_password);
}

TEST_F(AccountsTest, NothingInTheFileOpensASession) {
  const auto password = accounts_.first_start();
  const auto token = accounts_.log_in("admin", **password, "1.2.3.4");
  Query row = database_->query("SELECT token FROM sessions");
  ASSERT_TRUE(row.next());
  EXPECT_NE(row.text(0), *token);
  EXPECT_FALSE(accounts_.session(row.text(0)));
}

TEST_F(AccountsTest, SessionsEndByLogOutAndByIdling) {
  const auto password = accounts_.first_start();
  auto token = accounts_.log_in("admin", **password, "1.2.3.4");
  accounts_.log_out(*token);
  EXPECT_FALSE(accounts_.session(*token));
  token = accounts_.log_in("admin", **password, "1.2.3.4");
  now_ += Accounts::kSessionIdleMs - 1;
  EXPECT_TRUE(accounts_.session(*token));
  now_ += Accounts::kSessionIdleMs - 1;  // it was used in between
  EXPECT_TRUE(accounts_.session(*token));
  now_ += Accounts::kSessionIdleMs + 1;
  EXPECT_FALSE(accounts_.session(*token));
}

TEST_F(AccountsTest, FailuresSlowDownByNameAndByAddress) {
  ASSERT_TRUE(accounts_.first_start());
  for (int i = 0; i < Accounts::kFreeFailures; ++i) EXPECT_EQ(accounts_.log_in("admin", "wrong", "1.1.1." + std::to_string(i)).error().code, Code::kUnauthenticated);
  EXPECT_EQ(accounts_.log_in("admin", "wrong", "9.9.9.9").error().code, Code::kResourceExhausted);
  now_ += 1001;
  EXPECT_EQ(accounts_.log_in("admin", "wrong", "9.9.9.9").error().code, Code::kUnauthenticated);
  now_ += 1001;  // the next wait is twice as long
  EXPECT_EQ(accounts_.log_in("admin", "wrong", "9.9.9.9").error().code, Code::kResourceExhausted);

  now_ += 1'000'000;
  for (int i = 0; i < Accounts::kFreeFailures; ++i) EXPECT_EQ(accounts_.log_in("user" + std::to_string(i), "wrong", "5.5.5.5").error().code, Code::kUnauthenticated);
  EXPECT_EQ(accounts_.log_in("somebody", "wrong", "5.5.5.5").error().code, Code::kResourceExhausted);
}

TEST_F(AccountsTest, TheLastAdminStays) {
  ASSERT_TRUE(accounts_.first_start());
  EXPECT_EQ(accounts_.remove("admin").error().code, Code::kFailedPrecondition);
  EXPECT_EQ(accounts_.change("admin", Role::Viewer, std::nullopt, std::nullopt).error().code, Code::kFailedPrecondition);
  ASSERT_TRUE(accounts_.add({.name = "eve", .role = Role::Admin}, "long enough"));
  EXPECT_TRUE(accounts_.change("admin", Role::Viewer, std::nullopt, std::nullopt));
  EXPECT_FALSE(accounts_.find("admin")->may_edit("shop"));
}

TEST_F(AccountsTest, EditorsEditTheirApps) {
  ASSERT_TRUE(accounts_.add({.name = "bob", .role = Role::Editor, .apps = {"shop"}}, "long enough"));
  const auto bob = accounts_.find("bob");
  EXPECT_TRUE(bob->may_edit("shop"));
  EXPECT_FALSE(bob->may_edit("bank"));
  ASSERT_TRUE(accounts_.change("bob", std::nullopt, std::vector<std::string>{"*"}, std::nullopt));
  EXPECT_TRUE(accounts_.find("bob")->may_edit("bank"));
}

TEST_F(AccountsTest, BadNamesAndPasswordsAreRefused) {
  EXPECT_EQ(accounts_.add({.name = "a b"}, "long enough").error().code, Code::kInvalidArgument);
  EXPECT_EQ(accounts_.add({.name = ""}, "long enough").error().code, Code::kInvalidArgument);
  EXPECT_EQ(accounts_.add({.name = "bob"}, "short").error().code, Code::kInvalidArgument);
  ASSERT_TRUE(accounts_.add({.name = "bob"}, "long enough"));
  EXPECT_EQ(accounts_.add({.name = "bob"}, "long enough").error().code, Code::kAlreadyExists);
  EXPECT_EQ(accounts_.change_own_password("bob", "not it", "long enough too").error().code, Code::kPermissionDenied);
  EXPECT_TRUE(accounts_.change_own_password("bob", "long enough", "long enough too"));
  EXPECT_TRUE(accounts_.log_in("bob", "long enough too", "1.1.1.1"));
}

TEST_F(AccountsTest, ANewPasswordByAnAdminEndsSessions) {
  ASSERT_TRUE(accounts_.add({.name = "bob"}, "long enough"));
  const auto token = accounts_.log_in("bob", "long enough", "1.1.1.1");
  ASSERT_TRUE(accounts_.session(*token));
  ASSERT_TRUE(accounts_.change("bob", std::nullopt, std::nullopt, "something else"));
  EXPECT_FALSE(accounts_.session(*token));
  EXPECT_TRUE(accounts_.find("bob")->must_change_password);
}

}  // namespace
}  // namespace fairlead::console
