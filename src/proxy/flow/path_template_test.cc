#include "proxy/flow/path_template.h"

#include <gtest/gtest.h>

namespace fairlead::proxy {
namespace {

PathTemplate made(std::string_view text) {
  PathTemplate out;
  std::string problem;
  EXPECT_TRUE(PathTemplate::compile(text, out, problem)) << text << ": " << problem;
  return out;
}

bool matches(std::string_view text, std::string_view path, std::string_view method = "GET") {
  std::vector<PathTemplate::Variable> variables;
  const bool ok = made(text).matches(method, path, variables);
  EXPECT_TRUE(ok || variables.empty()) << "variables of what does not match";
  return ok;
}

TEST(PathTemplate, TakesWholeSegments) {
  EXPECT_TRUE(matches("/orders/{id}", "/orders/17"));
  EXPECT_FALSE(matches("/orders/{id}", "/orders/"));
  EXPECT_FALSE(matches("/orders/{id}", "/orders"));
  EXPECT_FALSE(matches("/orders/{id}", "/orders/17/items"));
  EXPECT_FALSE(matches("/orders/{id}", "/order/17"));
  EXPECT_TRUE(matches("/orders/*/items", "/orders/17/items"));
  EXPECT_TRUE(matches("/static/**", "/static/a/b.css"));
  EXPECT_TRUE(matches("/static/**", "/static"));
  EXPECT_FALSE(matches("/static/**", "/staticx"));
  EXPECT_TRUE(matches("/", "/"));
  EXPECT_FALSE(matches("/", "/x"));
}

TEST(PathTemplate, AsksTheMethodWhereItHasOne) {
  EXPECT_TRUE(matches("POST:/orders", "/orders", "POST"));
  EXPECT_FALSE(matches("POST:/orders", "/orders", "GET"));
}

TEST(PathTemplate, TellsItsVariables) {
  std::vector<PathTemplate::Variable> variables;
  const PathTemplate items = made("/orders/{order}/items/{item}");  // the names are its own
  ASSERT_TRUE(items.matches("GET", "/orders/17/items/a", variables));
  ASSERT_EQ(variables.size(), 2u);
  EXPECT_EQ(variables[0].name, "order");
  EXPECT_EQ(variables[0].value, "17");
  EXPECT_EQ(variables[1].value, "a");
}

TEST(PathTemplate, RefusesWhatMeansNothing) {
  for (const char* text : {"orders", "get:/x", "/a/**/b", "/a{id}", "/{a}/{a}", "/a*", ""}) {
    PathTemplate out;
    std::string problem;
    EXPECT_FALSE(PathTemplate::compile(text, out, problem)) << text;
    EXPECT_FALSE(problem.empty()) << text;
  }
}

TEST(PathTemplate, BeginningOfAPath) {
  EXPECT_EQ(path_beginning("/orders/17/items", 1), "/orders");
  EXPECT_EQ(path_beginning("/orders/17/items", 2), "/orders/17");
  EXPECT_EQ(path_beginning("/orders", 3), "/orders");
  EXPECT_EQ(path_beginning("/", 1), "/");
  EXPECT_EQ(path_beginning("", 1), "/");
}

}  // namespace
}  // namespace fairlead::proxy
