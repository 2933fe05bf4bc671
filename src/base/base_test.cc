#include <gtest/gtest.h>

#include "base/strings.h"
#include "base/time.h"
#include "base/value.h"

namespace fairlead::base {
namespace {

TEST(Json, KeepsOrderTypesAndEscapes) {
  auto v = parse_json(R"({"b":1,"a":[true,null,1.5,"x\"\n\u00e9"]})");
  ASSERT_TRUE(v);
  EXPECT_EQ(v->dump(), "{\"b\":1,\"a\":[true,null,1.5,\"x\\\"\\n\xc3\xa9\"]}");
  EXPECT_EQ(v->dump(0, true), "{\"a\":[true,null,1.5,\"x\\\"\\n\xc3\xa9\"],\"b\":1}");
  EXPECT_EQ(v->at("a.2").as_double(), 1.5);
  EXPECT_TRUE(v->at("a.9.nothing").is_null());
}

TEST(Json, ErrorsNameLineAndColumn) {
  auto v = parse_json("{\n  \"a\": tru\n}");
  ASSERT_FALSE(v);
  EXPECT_NE(v.error().message.find("line 2"), std::string::npos) << v.error().message;
}

TEST(Json, ReportsDuplicateKeysWithTheirPath) {
  std::vector<DuplicateKey> duplicates;
  ParseOptions options;
  options.duplicates = &duplicates;
  auto v = parse_json(R"({"spec":{"ports":[{"name":"a","name":"b"}]}})", options);
  ASSERT_TRUE(v);
  ASSERT_EQ(duplicates.size(), 1u);
  EXPECT_EQ(duplicates[0].path, "spec.ports[0].name");
  EXPECT_EQ(v->at("spec.ports.0.name").as_string(), "b");
}

TEST(Json, RefusesWhatIsNestedTooDeep) {
  EXPECT_FALSE(parse_json(std::string(1000, '[')));
  EXPECT_FALSE(parse_json(std::string(1000, '[') + std::string(1000, ']')));
}

TEST(Yaml, ReadsScalarsAsKubernetesDoes) {
  auto docs = parse_yaml("a: 1\nb: \"1\"\nc: yes\nd: 0644\ne: 1.5\nf: ~\ng: 1e3\nh: v1\ni: 10m\nj: 1.2.3\n---\n---\nk: [1, two]\n");
  ASSERT_TRUE(docs);
  ASSERT_EQ(docs->size(), 2u);
  EXPECT_EQ((*docs)[0].dump(), R"({"a":1,"b":"1","c":true,"d":420,"e":1.5,"f":null,"g":1000,"h":"v1","i":"10m","j":"1.2.3"})");
  EXPECT_EQ((*docs)[1]["k"].position.line, 13u);
}

TEST(Yaml, BoundsWhatAliasesExpandTo) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'k'; ++c) {
    bomb += fmt::format("{}: &{} [", c, c);
    for (int i = 0; i < 10; ++i) bomb += fmt::format("{}*{}", i ? "," : "", static_cast<char>(c - 1));
    bomb += "]\n";
  }
  EXPECT_FALSE(parse_yaml(bomb));
}

TEST(Yaml, ErrorsNameFileLineAndColumn) {
  auto docs = parse_yaml("a: b\n c: d\n", "x.yaml");
  ASSERT_FALSE(docs);
  EXPECT_TRUE(docs.error().where.starts_with("x.yaml:2")) << docs.error().where;
}

TEST(Yaml, PrintsAndReadsBackTheSame) {
  auto v = *parse_json(
      R"({"b":{"y":"yes","n":"null","num":"1","s":"a: b","multi":"x\n  y\n","empty":"","list":[1,[2,{"k":"v"}],{"a":1,"b":[]}]},"a":"# no","date":"2001-01-01","dash":"-","star":"*"})");
  std::string text = to_yaml(v);
  auto back = parse_yaml(text);
  ASSERT_TRUE(back) << text;
  EXPECT_EQ(back->at(0), v) << text;
}

TEST(Duration, ReadsAndPrintsLikeGo) {
  EXPECT_EQ(parse_duration("1h2m3.5s"), std::chrono::milliseconds(3723500));
  EXPECT_EQ(parse_duration("100ms"), std::chrono::milliseconds(100));
  EXPECT_EQ(parse_duration("0"), Nanos(0));
  EXPECT_FALSE(parse_duration("5"));
  EXPECT_FALSE(parse_duration("5x"));
  EXPECT_EQ(format_duration(std::chrono::milliseconds(3723500)), "1h2m3.5s");
  EXPECT_EQ(format_duration(std::chrono::milliseconds(100)), "100ms");
  EXPECT_EQ(format_duration(std::chrono::seconds(60)), "1m0s");
}

TEST(Age, StepsLikeKubectl) {
  EXPECT_EQ(human_age(std::chrono::seconds(119)), "119s");
  EXPECT_EQ(human_age(std::chrono::seconds(200)), "3m20s");
  EXPECT_EQ(human_age(std::chrono::hours(47)), "47h");
  EXPECT_EQ(human_age(std::chrono::hours(24 * 12)), "12d");
}

TEST(Time, ReadsWhatItPrints) {
  auto t = parse_rfc3339("2024-05-01T10:20:30.123456Z");
  ASSERT_TRUE(t);
  EXPECT_EQ(format_rfc3339_micro(*t), "2024-05-01T10:20:30.123456Z");
  EXPECT_EQ(format_rfc3339(*parse_rfc3339("2024-05-01T12:20:30+02:00")), "2024-05-01T10:20:30Z");
  EXPECT_FALSE(parse_rfc3339("2024-13-01T10:20:30Z"));
}

TEST(Base64, RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_FALSE(base64_decode("a"));
  EXPECT_FALSE(base64_decode("a?=="));
}

TEST(Nearest, FindsWhatWasMeantAndNothingFarOff) {
  EXPECT_EQ(nearest("replcas", {"replicas", "selector"}), "replicas");
  EXPECT_FALSE(nearest("zzz", {"replicas", "selector"}));
}

}  // namespace
}  // namespace fairlead::base
