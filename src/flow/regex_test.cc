#include "flow/regex.h"

#include <gtest/gtest.h>

namespace fairlead::flow {
namespace {

std::string problem_of(std::string_view expression) {
  std::string problem;
  const bool good = Regex::compile(expression, problem).has_value();
  EXPECT_EQ(good, problem.empty());
  return problem;
}

bool match(std::string_view expression, std::string_view text) {
  std::string problem;
  const auto regex = Regex::compile(expression, problem);
  EXPECT_TRUE(regex) << problem;
  return regex && regex->matches(text);
}

TEST(Regex, SaysWhatItDoesNotSupport) {
  EXPECT_EQ(problem_of("a(?=b)"), "at character 5: look-around and atomic groups are not supported; use a plain group");
  EXPECT_EQ(problem_of("(a)\\1"), "at character 6: back-references and octal numbers are not supported; repeat the part, or write \\xhh");
  EXPECT_EQ(problem_of("a++"), "at character 3: possessive repetition is not supported; leave the second + out");
  EXPECT_EQ(problem_of("[a[b]]"), "at character 3: sets within sets are not supported; write one set, with \\[ for the character");
  EXPECT_EQ(problem_of("\\p{L}"), "at character 3: this class is not supported; use \\d, \\w, \\s, \\p{Alpha}, \\p{Alnum} and the like, or a set");
  EXPECT_EQ(problem_of("(?x)"), "at character 3: of the flags only i and s are supported");
  EXPECT_EQ(problem_of("a)"), "at character 2: ')' without '('");
}

TEST(Regex, RefusesWhatWouldTakeTooLong) {
  EXPECT_EQ(problem_of("((a{1000}){1000}){1000}"), "too long with its repetitions; make the counts smaller");
  EXPECT_EQ(problem_of("(((((){1000}){1000}){1000}){1000}){1000}"), "too long with its repetitions; make the counts smaller");
  EXPECT_EQ(problem_of(std::string(200, '(')), "at character 102: more than 100 groups within each other; use fewer");
}

// An engine that tries one way after the other would need 2^10000 of them, or that depth of stack.
TEST(Regex, IsLinearInTheText) {
  EXPECT_FALSE(match("(a*)*(a|aa)+b", std::string(10'000, 'a')));
  EXPECT_TRUE(match("(.|x)*", std::string(100'000, 'x')));
}

TEST(Regex, SeesEndsOfLines) {
  EXPECT_TRUE(match("a$\n", "a\n"));
  EXPECT_TRUE(match("a$\r\n", "a\r\n"));
  EXPECT_FALSE(match("a\r$\n", "a\r\n"));
  EXPECT_FALSE(match("a$\n\n", "a\n\n"));
  EXPECT_FALSE(match("a\\z\n", "a\n"));
  EXPECT_FALSE(match("a.b", "a\nb"));
  EXPECT_TRUE(match("(?s)a.b", "a\nb"));
  EXPECT_FALSE(match("((?s))a.b", "a\nb"));
}

TEST(Regex, TakesAnyBytes) {
  EXPECT_TRUE(match(".", "\xE4\xB8\xAD"));
  EXPECT_TRUE(match("..", "\xE4\xB8"));
  EXPECT_TRUE(match("[^a]", "\xFF"));
  EXPECT_TRUE(match("\xFF", "\xFF"));
  EXPECT_FALSE(match("\xFE", "\xFF"));
}

}  // namespace
}  // namespace fairlead::flow
