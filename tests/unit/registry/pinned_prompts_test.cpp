#include "skerry/registry/pinned_prompts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry_fixtures.hpp"

namespace skerry::registry {
namespace {

using ::testing::HasSubstr;

std::vector<PinnedPrompt> sample_prompts() {
  return {{"support", {{"system", "You help \"politely\".\n"}}},
          {"triage", {{"system", "Sort."}, {"user", "disk full"}, {"assistant", "storage"}}}};
}

TEST(PinnedPromptsTest, SurviveTheirText) {
  const auto text = serialise_pinned_prompts(sample_prompts());
  ASSERT_TRUE(text) << text.error().message();
  const auto back = parse_pinned_prompts(*text);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(*back, sample_prompts());
}

struct RefusedPrompts {
  std::string text;
  std::string why;
};

TEST(PinnedPromptsTest, RefusesWhatIsNone) {
  const auto with = [](const std::string& prompts) {
    return R"({"format":1,"prompts":[)" + prompts + "]}";
  };
  const std::string good = R"({"name":"a","messages":[{"role":"system","content":"x"}]})";
  const std::vector<RefusedPrompts> cases{
      {"[]", ""},
      {R"({"prompts":[]})", "format"},
      {with(""), "1 to 4"},
      {with(good + "," + good), "used twice"},
      {with(R"({"name":"A b","messages":[{"role":"system","content":"x"}]})"), "prompts[0].name"},
      {with(R"({"name":"a","messages":[]})"), "1 to 32"},
      {with(R"({"name":"a","messages":[{"role":"tool","content":"x"}]})"), "role"},
      {with(R"({"name":"a","messages":[{"role":"system","content":""}]})"), "content"},
      {with(R"({"name":"a","messages":[{"role":"user","content":"x"}]})"), "must not end"},
      {with(R"({"name":"a","tools":[],"messages":[{"role":"system","content":"x"}]})"), "tools"},
      {with(R"({"name":"a","messages":[{"role":"system","content":")" +
            std::string(PinnedPromptLimits::kBytes, 'x') + R"("}]})"),
       ""}};
  for (const RefusedPrompts& one : cases) {
    const auto read = parse_pinned_prompts(one.text);
    ASSERT_FALSE(read) << one.text.substr(0, 200);
    EXPECT_EQ(read.error().code(), Error::Code::kManifestInvalid);
    EXPECT_THAT(read.error().message(), HasSubstr(one.why));
  }
  EXPECT_TRUE(parse_pinned_prompts(with(good)));
}

TEST(PinnedPromptsTest, AFileIsASystemMessageOrAListOfMessages) {
  const auto text = read_pinned_prompt("support", "You are kind.");
  ASSERT_TRUE(text);
  EXPECT_EQ(text->messages, (std::vector<PinnedMessage>{{"system", "You are kind."}}));
  const auto list = read_pinned_prompt("a", " [{\"role\":\"system\",\"content\":\"x\"}]");
  ASSERT_TRUE(list) << list.error().message();
  EXPECT_EQ(list->messages, (std::vector<PinnedMessage>{{"system", "x"}}));
  EXPECT_FALSE(read_pinned_prompt("a", "[1]"));
  EXPECT_FALSE(read_pinned_prompt("a", ""));
  EXPECT_FALSE(read_pinned_prompt("Not A Name", "x"));
}

TEST(PinnedPromptsTest, AManifestNamesTheirFile) {
  auto manifest = test::make_manifest(
      "1.0.0",
      1,
      {test::make_variant("f16", {test::make_file(FileRole::kWeights, "a", 300'000, 1)})});
  EXPECT_EQ(pinned_prompts_of(manifest), nullptr);
  manifest.annotations[std::string{kPinnedPromptsKey}] = kPinnedPromptsFile;
  EXPECT_THAT(manifest.serialise().error().message(), HasSubstr("shared file of role config"));
  manifest.shared = {
      test::make_file(FileRole::kConfig, std::string{kPinnedPromptsFile}, 70'000, 2).entry};
  EXPECT_THAT(manifest.serialise().error().message(), HasSubstr("65536"));
  manifest.shared = {
      test::make_file(FileRole::kConfig, std::string{kPinnedPromptsFile}, 900, 2).entry};
  const auto back = Manifest::parse(*manifest.serialise());
  ASSERT_TRUE(back) << back.error().message();
  ASSERT_NE(pinned_prompts_of(*back), nullptr);
  EXPECT_EQ(pinned_prompts_of(*back)->digest, manifest.shared[0].digest);
  const auto needed = back->files_for(back->variants[0]);
  EXPECT_EQ(needed.back().digest, manifest.shared[0].digest) << "a device fetches it";
}

}  // namespace
}  // namespace skerry::registry
