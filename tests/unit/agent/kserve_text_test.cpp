#include "grpc/kserve_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

void add_text(::inference::ModelInferRequest& request,
              const std::string& name,
              const std::string& value) {
  auto& input = *request.add_inputs();
  input.set_name(name);
  input.set_datatype("BYTES");
  input.add_shape(1);
  input.mutable_contents()->add_bytes_contents(value);
}

void add_flag(::inference::ModelInferRequest& request, const std::string& name, bool value) {
  auto& input = *request.add_inputs();
  input.set_name(name);
  input.set_datatype("BOOL");
  input.add_shape(1);
  input.mutable_contents()->add_bool_contents(value);
}

::inference::ModelInferRequest prompt(const std::string& parameters = {}) {
  ::inference::ModelInferRequest request;
  add_text(request, "text_input", "hello");
  if (!parameters.empty()) {
    add_text(request, "sampling_parameters", parameters);
  }
  return request;
}

std::string problem_of(const ::inference::ModelInferRequest& request) {
  const Result<TextAsk> ask = text_ask(request);
  EXPECT_FALSE(ask);
  return ask ? "" : ask.error().message();
}

TEST(KserveText, IsToldByItsInput) {
  EXPECT_TRUE(has_text_input(prompt()));
  ::inference::ModelInferRequest other;
  add_text(other, "text", "x");
  EXPECT_FALSE(has_text_input(other));
  other.mutable_inputs(0)->set_name("text_input");
  other.mutable_inputs(0)->set_datatype("FP32");
  EXPECT_FALSE(has_text_input(other));
}

TEST(KserveText, HasTheBackendsDefaults) {
  const Result<TextAsk> ask = text_ask(prompt());
  ASSERT_TRUE(ask) << ask.error().to_string();
  EXPECT_EQ(std::get<runtime::Prompt>(ask->job.prompt).text, "hello");
  EXPECT_TRUE(ask->pieces);
  EXPECT_FALSE(ask->empty_final);
  EXPECT_EQ(ask->job.max_tokens, 16U);
  EXPECT_EQ(ask->job.sampling.temperature, 1.0F);
}

TEST(KserveText, ReadsRawContentsToo) {
  ::inference::ModelInferRequest request;
  auto& input = *request.add_inputs();
  input.set_name("text_input");
  input.set_datatype("BYTES");
  input.add_shape(1);
  input.add_shape(1);
  request.add_raw_input_contents(std::string("\x02\0\0\0hi", 6));
  const Result<TextAsk> ask = text_ask(request);
  ASSERT_TRUE(ask) << ask.error().to_string();
  EXPECT_EQ(std::get<runtime::Prompt>(ask->job.prompt).text, "hi");
}

TEST(KserveText, TakesSamplingParametersAsNumbersAndAsStrings) {
  const Result<TextAsk> ask = text_ask(prompt(
      R"({"temperature": "0.5", "top_p": 0.9, "top_k": -1, "min_p": 0.1, "seed": 7,
          "max_tokens": "32", "stop": ["a", "b"], "repetition_penalty": 1.5,
          "frequency_penalty": -1, "presence_penalty": 1, "logprobs": null})"));
  ASSERT_TRUE(ask) << ask.error().to_string();
  EXPECT_EQ(ask->job.sampling.temperature, 0.5F);
  EXPECT_EQ(ask->job.sampling.top_p, 0.9F);
  EXPECT_EQ(ask->job.sampling.top_k, 0U);
  EXPECT_EQ(ask->job.sampling.min_p, 0.1F);
  EXPECT_EQ(ask->job.sampling.seed, 7U);
  EXPECT_EQ(ask->job.sampling.repeat_penalty, 1.5F);
  EXPECT_EQ(ask->job.sampling.frequency_penalty, -1.0F);
  EXPECT_EQ(ask->job.sampling.presence_penalty, 1.0F);
  EXPECT_EQ(ask->job.max_tokens, 32U);
  EXPECT_THAT(ask->job.stop, ElementsAre("a", "b"));
}

TEST(KserveText, TakesStreamAndTheEmptyEnd) {
  ::inference::ModelInferRequest request = prompt();
  add_flag(request, "stream", false);
  add_flag(request, "exclude_input_in_output", true);
  (*request.mutable_parameters())["triton_enable_empty_final_response"].set_bool_param(true);
  const Result<TextAsk> ask = text_ask(request);
  ASSERT_TRUE(ask) << ask.error().to_string();
  EXPECT_FALSE(ask->pieces);
  EXPECT_TRUE(ask->empty_final);
}

TEST(KserveText, RefusesByNameWhatItDoesNotOffer) {
  EXPECT_THAT(problem_of(prompt(R"({"best_of": 2})")), HasSubstr("sampling_parameters.best_of"));
  EXPECT_THAT(problem_of(prompt(R"({"temperature": 101})")), HasSubstr("temperature"));
  EXPECT_THAT(problem_of(prompt(R"({"temperature": "warm"})")), HasSubstr("temperature"));
  EXPECT_THAT(problem_of(prompt(R"({"max_tokens": 0})")), HasSubstr("max_tokens"));
  EXPECT_THAT(problem_of(prompt(R"({"seed": 0.5})")), HasSubstr("seed"));
  EXPECT_THAT(problem_of(prompt(R"({"stop": 1})")), HasSubstr("stop"));
  EXPECT_THAT(problem_of(prompt("[]")), HasSubstr("JSON object"));
  EXPECT_THAT(problem_of(prompt("{")), HasSubstr("sampling_parameters"));
  ::inference::ModelInferRequest repeated = prompt();
  add_flag(repeated, "exclude_input_in_output", false);
  EXPECT_THAT(problem_of(repeated), HasSubstr("exclude_input_in_output"));
  ::inference::ModelInferRequest image = prompt();
  add_text(image, "image", "x");
  EXPECT_THAT(problem_of(image), HasSubstr("\"image\""));
  ::inference::ModelInferRequest output = prompt();
  output.add_outputs()->set_name("logits");
  EXPECT_THAT(problem_of(output), HasSubstr("text_output"));
}

TEST(KserveText, RefusesSeveralPrompts) {
  ::inference::ModelInferRequest request;
  add_text(request, "text_input", "a");
  request.mutable_inputs(0)->set_shape(0, 2);
  request.mutable_inputs(0)->mutable_contents()->add_bytes_contents("b");
  EXPECT_THAT(problem_of(request), HasSubstr("one element"));
}

}  // namespace
}  // namespace skerry::agent
