#include "skerry/cli/console.hpp"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/cli/remote_error.hpp"
#include "skerry/cli/tensor_text.hpp"

namespace skerry::cli {
namespace {

using ::testing::HasSubstr;

TEST(Table, AlignsColumnsByCodePoints) {
  Table table{{"name", "size"}};
  table.add({"größe", "1"});
  table.add({"x", "22"});
  EXPECT_EQ(table.text(), "NAME   SIZE\ngröße  1\nx      22\n");
}

TEST(Table, MarkdownHasOneRulePerColumn) {
  Table table{{"variant", "size"}};
  table.add({"q8_0", "1 MiB"});
  EXPECT_EQ(table.markdown(), "| variant | size |\n|---|---:|\n| q8_0 | 1 MiB |\n");
}

TEST(Console, DrawsNoProgressWhereNobodyLooks) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Console console{{in, out, err, false}};
  console.progress("uploading", 1, 2);
  console.finish_progress();
  EXPECT_EQ(err.str(), "");
}

TEST(Console, ProgressIsRedrawnOnlyWhenThePercentageChanges) {
  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  Console console{{in, out, err, true}};
  console.progress("uploading", 500, 1000);
  const auto once = err.str();
  console.progress("uploading", 501, 1000);
  EXPECT_EQ(err.str(), once);
  EXPECT_THAT(once, HasSubstr(" 50 %"));
}

TEST(Human, WritesSizesTimesAndDigests) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(5ULL << 30U), "5.0 GiB");
  EXPECT_EQ(human_time(0), "-");
  EXPECT_EQ(human_time(1000), "1970-01-01 00:00:01 UTC");
  EXPECT_EQ(short_digest("sha256:0123456789abcdef"), "0123456789ab");
}

TEST(RemoteError, TakesTheStableNameFromTheMessage) {
  const Error error = remote_error(9, "no_fitting_variant: none fits 16 MiB", "api.sock");
  EXPECT_EQ(error.code(), Error::Code::kNoFittingVariant);
  EXPECT_EQ(error.message(), "none fits 16 MiB");
}

TEST(RemoteError, FallsBackToTheStatusCode) {
  const Error error = remote_error(7, "because: reasons", "api.sock");
  EXPECT_EQ(error.code(), Error::Code::kPermissionDenied);
  EXPECT_EQ(error.message(), "because: reasons");
}

TEST(RemoteError, NamesThePeerThatCannotBeReached) {
  const Error error = remote_error(14, "connection refused", "gw:7443");
  EXPECT_EQ(error.code(), Error::Code::kUnavailable);
  EXPECT_THAT(error.message(), HasSubstr("gw:7443"));
}

TEST(TensorText, ReadsNestedNumbersInTheShapesOrder) {
  const auto tensor =
      parse_tensor("x", R"({"shape": [2, 2], "datatype": "INT16", "data": [[1, 2], [3, -4]]})");
  ASSERT_TRUE(tensor) << tensor.error().to_string();
  EXPECT_EQ(tensor->data, std::string("\x01\x00\x02\x00\x03\x00\xfc\xff", 8));
}

TEST(TensorText, RefusesWhatDoesNotFit) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"shape": [3], "data": [1, 2]})", "the shape asks for 3"},
      {R"({"shape": [1], "datatype": "UINT8", "data": [256]})", "element 0"},
      {R"({"shape": [1], "datatype": "INT32", "data": [1.5]})", "element 0"},
      {R"({"shape": [-1], "data": []})", "shape"},
      {R"({"shape": [1], "datatype": "BYTES", "data": ["a"]})", "BYTES"},
      {R"({"shape": [4000000, 4000000], "data": []})", "2^32"},
      {R"({"shape": [1]})", "data"}};
  for (const auto& [json, part] : cases) {
    const auto tensor = parse_tensor("x", json);
    ASSERT_FALSE(tensor) << json;
    EXPECT_THAT(tensor.error().message(), HasSubstr(part));
  }
}

TEST(TensorText, WritesWhatItRead) {
  const auto tensor = parse_tensor("x", R"({"shape": [2], "datatype": "FP32", "data": [0.5, -2]})");
  ASSERT_TRUE(tensor);
  const auto json = tensor_to_json(*tensor);
  ASSERT_TRUE(json);
  EXPECT_EQ(json->find("data")->dump(), Json(Json::Array{Json{0.5}, Json{-2.0}}).dump());
}

}  // namespace
}  // namespace skerry::cli
