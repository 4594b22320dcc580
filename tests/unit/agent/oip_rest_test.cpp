#include "skerry/agent/oip_rest.hpp"

#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/agent/openai.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::oip {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t kBody = 1U << 20U;

template <class... Values>
std::string bytes_of(Values... values) {
  std::string out;
  (out.append(reinterpret_cast<const char*>(&values), sizeof values), ...);
  return out;
}

std::string infer_problem(const std::string& input) {
  Result<RestInfer> parsed = parse_infer(R"({"inputs":[)" + input + "]}", "", kBody);
  EXPECT_FALSE(parsed) << input;
  return parsed ? "" : openai::param_of(parsed.error());
}

TEST(OipRest, ReadsNestedAndFlatData) {
  Result<RestInfer> parsed = parse_infer(
      R"({"id":"7","inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","data":[[1,2.5],[3,-4]]},)"
      R"({"name":"y","shape":[2],"datatype":"BYTES","data":["a","bc"]},{"name":"z","shape":[2],"datatype":"BOOL","data":[true,0]}],)"
      R"("outputs":[{"name":"o","parameters":{"binary_data":true}},{"name":"p"}]})",
      "",
      kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->inputs[0].data, bytes_of(1.0F, 2.5F, 3.0F, -4.0F));
  EXPECT_EQ(parsed->inputs[1].data, bytes_of(std::uint32_t{1}, 'a', std::uint32_t{2}, 'b', 'c'));
  EXPECT_EQ(parsed->inputs[2].data, std::string("\1\0", 2));
  EXPECT_EQ(parsed->id, "7");
  EXPECT_TRUE(parsed->binary("o"));
  EXPECT_FALSE(parsed->binary("p"));
}

TEST(OipRest, ReadsBytesAfterTheJson) {
  const std::string json =
      R"({"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}},)"
      R"({"name":"h","shape":[1],"datatype":"FP16","parameters":{"binary_data_size":2}}]})";
  Result<RestInfer> parsed =
      parse_infer(json + bytes_of(2.0F) + "ab", std::to_string(json.size()), kBody);
  ASSERT_TRUE(parsed) << parsed.error().to_string();
  EXPECT_EQ(parsed->inputs[0].data, bytes_of(2.0F));
  EXPECT_EQ(parsed->inputs[1].data, "ab");
  EXPECT_TRUE(parsed->binary("anything"));
  // One byte more or less belongs to nobody.
  EXPECT_FALSE(parse_infer(json + bytes_of(2.0F) + "abc", std::to_string(json.size()), kBody));
  EXPECT_FALSE(parse_infer(json + bytes_of(2.0F) + "a", std::to_string(json.size()), kBody));
  for (const char* length : {"x", "-1", "99999", "1 "}) {
    EXPECT_FALSE(parse_infer(json, length, kBody)) << length;
  }
}

TEST(OipRest, NamesTheInputThatIsWrong) {
  EXPECT_EQ(infer_problem(R"({"shape":[1],"datatype":"FP32","data":[1]})"), "inputs[0].name");
  EXPECT_EQ(infer_problem(R"({"name":"x","datatype":"FP32","data":[1]})"), "inputs[0].shape");
  EXPECT_EQ(infer_problem(R"({"name":"x","shape":[-1],"datatype":"FP32","data":[1]})"),
            "inputs[0].shape");
  EXPECT_EQ(infer_problem(R"({"name":"x","shape":[1],"datatype":"FP32"})"), "inputs[0]");
  EXPECT_EQ(infer_problem(R"({"name":"x","shape":[1],"datatype":"FP16","data":[1]})"),
            "inputs[0].data");
  EXPECT_EQ(infer_problem(R"({"name":"x","shape":[1],"datatype":"INT8","data":[300]})"),
            "inputs[0].data");
  EXPECT_EQ(infer_problem(R"({"name":"x","shape":[1],"datatype":"UINT64","data":[-1]})"),
            "inputs[0].data");
  EXPECT_EQ(infer_problem(R"({"name":"x","shape":[1],"datatype":"BYTES","data":[1]})"),
            "inputs[0].data");
  EXPECT_EQ(
      infer_problem(
          R"({"name":"x","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}})"),
      "inputs[0].parameters.binary_data_size");
  EXPECT_FALSE(parse_infer("{}", "", kBody));
}

TEST(OipRest, WritesOutputsAsJsonOrBytes) {
  RestInfer request;
  request.id = "7";
  request.outputs = {RestOutput{"b", true}};
  const std::vector<RestTensor> outputs{
      {"a", "INT16", {2}, bytes_of(std::int16_t{1}, std::int16_t{-2})},
      {"b", "FP32", {1}, bytes_of(0.1F)},
      {"t", "BYTES", {1}, bytes_of(std::uint32_t{1}, '"')}};
  Result<RestAnswer> answer = infer_body(request, "acme/v", "1.0.0", outputs);
  ASSERT_TRUE(answer) << answer.error().to_string();
  ASSERT_TRUE(answer->json_length);
  EXPECT_EQ(answer->body.substr(*answer->json_length), bytes_of(0.1F));
  const Json json = *Json::parse(answer->body.substr(0, *answer->json_length));
  EXPECT_EQ(json.get_string("id").value_or(""), "7");
  EXPECT_EQ(json.get_string("model_version").value_or(""), "1.0.0");
  const Json::Array& list = *json.find("outputs")->array();
  EXPECT_EQ(list[0].find("data")->dump(), "[1,-2]");
  EXPECT_EQ(list[1].find("parameters")->get_int("binary_data_size").value_or(0), 4);
  EXPECT_EQ(list[2].find("data")->dump(), R"(["\""])");
  const Result<RestAnswer> plain = infer_body(RestInfer{}, "m", "1", {outputs[1]});
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->json_length);
  EXPECT_THAT(plain->body, HasSubstr(R"("data":[0.1])"));
}

TEST(OipRest, SaysWhatJsonCannotSay) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(infer_body(RestInfer{}, "m", "1", {{"a", "FP32", {1}, bytes_of(nan)}}));
  EXPECT_FALSE(infer_body(RestInfer{}, "m", "1", {{"a", "FP16", {1}, "ab"}}));
  RestInfer binary;
  binary.binary_output = true;
  EXPECT_TRUE(infer_body(binary, "m", "1", {{"a", "FP16", {1}, "ab"}}));
}

TEST(OipRest, ReadsPathsOfModels) {
  const auto path = [](const char* text) {
    Result<ModelPath> parsed = parse_model_path(text);
    EXPECT_TRUE(parsed) << text;
    return parsed ? std::vector{parsed->model, parsed->version, parsed->action}
                  : std::vector<std::string>{};
  };
  EXPECT_THAT(path("/v2/models/vibration"), ElementsAre("vibration", "", ""));
  EXPECT_THAT(path("/v2/models/acme/vibration/infer"), ElementsAre("acme/vibration", "", "infer"));
  EXPECT_THAT(path("/v2/models/acme%2Fvibration/versions/1.0.0/ready"),
              ElementsAre("acme/vibration", "1.0.0", "ready"));
  EXPECT_EQ(parse_model_path("/v2/models/acme/v/versions/1.0.0")->reference(), "acme/v:1.0.0");
  EXPECT_EQ(parse_model_path("/v2/models/slot/versions/1.0.0")->reference(), "slot");
  EXPECT_FALSE(parse_model_path("/v2/models//infer"));
  EXPECT_FALSE(parse_model_path("/v2/models/%zz"));
  EXPECT_EQ(parse_repository_path("/v2/repository/models/acme/v/load")->model, "acme/v");
  EXPECT_FALSE(parse_repository_path("/v2/repository/models/acme/v"));
}

}  // namespace
}  // namespace skerry::agent::oip
