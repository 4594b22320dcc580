#include "grpc/kserve_tensors.hpp"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::HasSubstr;

::inference::ModelInferRequest one_input(const std::string& type, std::vector<std::int64_t> shape) {
  ::inference::ModelInferRequest request;
  auto& input = *request.add_inputs();
  input.set_name("x");
  input.set_datatype(type);
  for (const std::int64_t dimension : shape) {
    input.add_shape(dimension);
  }
  return request;
}

std::string problem_of(const ::inference::ModelInferRequest& request) {
  Result<std::vector<runtime::Tensor>> tensors = tensors_of(request);
  EXPECT_FALSE(tensors);
  return tensors ? "" : tensors.error().message();
}

TEST(KserveTensors, ReadsTypedContents) {
  ::inference::ModelInferRequest request = one_input("FP32", {2});
  request.mutable_inputs(0)->mutable_contents()->add_fp32_contents(1.5F);
  request.mutable_inputs(0)->mutable_contents()->add_fp32_contents(-2.0F);
  Result<std::vector<runtime::Tensor>> tensors = tensors_of(request);
  ASSERT_TRUE(tensors) << tensors.error().to_string();
  ASSERT_EQ((*tensors)[0].data.size(), 8U);
  float first = 0;
  std::memcpy(&first, (*tensors)[0].data.data(), sizeof first);
  EXPECT_EQ(first, 1.5F);
}

TEST(KserveTensors, ReadsRawContents) {
  ::inference::ModelInferRequest request = one_input("INT16", {3});
  request.add_raw_input_contents(std::string(6, '\1'));
  Result<std::vector<runtime::Tensor>> tensors = tensors_of(request);
  ASSERT_TRUE(tensors) << tensors.error().to_string();
  EXPECT_EQ((*tensors)[0].data.size(), 6U);
}

TEST(KserveTensors, RefusesRawForSomeInputsOnly) {
  ::inference::ModelInferRequest request = one_input("INT8", {1});
  *request.add_inputs() = request.inputs(0);
  request.add_raw_input_contents("a");
  EXPECT_THAT(problem_of(request), HasSubstr("if one input is raw, all are"));
}

TEST(KserveTensors, RefusesBothFormsTogether) {
  ::inference::ModelInferRequest request = one_input("INT8", {1});
  request.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  request.add_raw_input_contents("a");
  EXPECT_THAT(problem_of(request), HasSubstr("together"));
}

TEST(KserveTensors, RefusesHalfFloatsInTypedForm) {
  EXPECT_THAT(problem_of(one_input("FP16", {0})), HasSubstr("raw_input_contents"));
  EXPECT_THAT(problem_of(one_input("BF16", {0})), HasSubstr("raw_input_contents"));
}

TEST(KserveTensors, RefusesUnknownTypesWrongSizesAndValuesOutOfRange) {
  EXPECT_THAT(problem_of(one_input("FLOAT", {1})), HasSubstr("x"));
  EXPECT_THAT(problem_of(one_input("FP32", {2})), HasSubstr("x"));
  EXPECT_THAT(problem_of(one_input("FP32", {-1})), HasSubstr("x"));
  ::inference::ModelInferRequest request = one_input("INT8", {1});
  request.mutable_inputs(0)->mutable_contents()->add_int_contents(300);
  EXPECT_THAT(problem_of(request), HasSubstr("does not fit INT8"));
}

TEST(KserveTensors, AnswersInTheFormOfTheRequest) {
  runtime::Tensor tensor;
  tensor.name = "y";
  tensor.type = runtime::DataType::kInt64;
  tensor.shape = {1};
  const std::int64_t value = 42;
  tensor.data.assign(reinterpret_cast<const char*>(&value), sizeof value);
  ::inference::ModelInferResponse typed;
  fill_outputs({tensor}, false, &typed);
  EXPECT_EQ(typed.outputs(0).contents().int64_contents(0), 42);
  EXPECT_EQ(typed.raw_output_contents_size(), 0);
  ::inference::ModelInferResponse raw;
  fill_outputs({tensor}, true, &raw);
  EXPECT_EQ(raw.raw_output_contents(0).size(), 8U);
  EXPECT_FALSE(raw.outputs(0).has_contents());
}

TEST(KserveTensors, OneHalfFloatMakesTheWholeAnswerRaw) {
  runtime::Tensor half;
  half.type = runtime::DataType::kFp16;
  half.data = "ab";
  runtime::Tensor whole;
  whole.type = runtime::DataType::kFp32;
  whole.data = "abcd";
  ::inference::ModelInferResponse response;
  fill_outputs({whole, half}, false, &response);
  EXPECT_EQ(response.raw_output_contents_size(), 2);
}

TEST(KserveTensors, SharedInputsStandBesideRawOnes) {
  ::inference::ModelInferRequest request = one_input("INT8", {2});
  *request.add_inputs() = request.inputs(0);
  request.mutable_inputs(1)->set_name("y");
  request.add_raw_input_contents("cd");
  Result<std::vector<runtime::Tensor>> tensors = tensors_of(request, {{0, "ab"}});
  ASSERT_TRUE(tensors) << tensors.error().to_string();
  EXPECT_EQ((*tensors)[0].data, "ab");
  EXPECT_EQ((*tensors)[1].data, "cd");
  request.mutable_inputs(0)->mutable_contents()->add_int_contents(1);
  Result<std::vector<runtime::Tensor>> both = tensors_of(request, {{0, "ab"}});
  ASSERT_FALSE(both);
  EXPECT_THAT(both.error().message(), HasSubstr("shared memory together"));
}

TEST(KserveTensors, ReadsWhereATensorIsShared) {
  OipParameters parameters;
  Result<std::optional<SharedPlace>> place = shared_place(parameters);
  ASSERT_TRUE(place);
  EXPECT_FALSE(*place);
  parameters["shared_memory_region"].set_string_param("in");
  EXPECT_FALSE(shared_place(parameters));
  parameters["shared_memory_byte_size"].set_int64_param(-1);
  EXPECT_FALSE(shared_place(parameters));
  parameters["shared_memory_byte_size"].set_int64_param(8);
  place = shared_place(parameters);
  ASSERT_TRUE(place);
  EXPECT_EQ(**place, (SharedPlace{"in", 0, 8}));
  parameters["shared_memory_offset"].set_uint64_param(4);
  place = shared_place(parameters);
  ASSERT_TRUE(place);
  EXPECT_EQ(**place, (SharedPlace{"in", 4, 8}));
  parameters["shared_memory_offset"].set_string_param("4");
  EXPECT_FALSE(shared_place(parameters));
  parameters["shared_memory_region"].set_int64_param(1);
  EXPECT_FALSE(shared_place(parameters));
}

TEST(KserveTensors, OutputsInSharedMemoryKeepAnEmptyPlace) {
  runtime::Tensor shared;
  shared.name = "a";
  shared.type = runtime::DataType::kInt8;
  shared.shape = {1};
  runtime::Tensor sent = shared;
  sent.name = "b";
  sent.data = "x";
  ::inference::ModelInferResponse response;
  fill_outputs({shared, sent}, false, &response, {{"a", SharedPlace{"out", 16, 1}}});
  ASSERT_EQ(response.raw_output_contents_size(), 2);
  EXPECT_EQ(response.raw_output_contents(0), "");
  EXPECT_EQ(response.raw_output_contents(1), "x");
  const auto& parameters = response.outputs(0).parameters();
  EXPECT_EQ(parameters.at("shared_memory_region").string_param(), "out");
  EXPECT_EQ(parameters.at("shared_memory_offset").int64_param(), 16);
  EXPECT_EQ(parameters.at("shared_memory_byte_size").int64_param(), 1);
  EXPECT_TRUE(response.outputs(1).parameters().empty());
}

}  // namespace
}  // namespace skerry::agent
