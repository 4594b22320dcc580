#include "grpc/stream_answer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::HasSubstr;
using Response = ::inference::ModelStreamInferResponse;

::inference::ModelInferRequest request() {
  ::inference::ModelInferRequest request;
  request.set_model_name("acme/echo");
  request.set_id("r1");
  return request;
}

bool is_final(const Response& response) {
  return response.infer_response().parameters().at("triton_final_response").bool_param();
}

std::string text_of(const Response& response) {
  const auto& inner = response.infer_response();
  return inner.outputs_size() == 1 ? inner.outputs(0).contents().bytes_contents(0) : "none";
}

TEST(StreamAnswer, TextGoesOutInPiecesAndTheLastOneIsMarked) {
  StreamAnswer answer{request()};
  answer.tell_text(true, false);
  EXPECT_FALSE(answer.next());
  answer.set_version("1.2.0");
  answer.add_text("one ");
  auto first = answer.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(text_of(*first), "one ");
  EXPECT_FALSE(is_final(*first));
  EXPECT_EQ(first->infer_response().model_name(), "acme/echo");
  EXPECT_EQ(first->infer_response().model_version(), "1.2.0");
  EXPECT_EQ(first->infer_response().id(), "r1");
  EXPECT_EQ(first->infer_response().outputs(0).name(), "text_output");
  EXPECT_FALSE(answer.next());
  answer.add_text("two ");
  answer.add_text("three");
  EXPECT_EQ(answer.unread(), 9U);
  answer.end_text();
  auto last = answer.next();
  ASSERT_TRUE(last);
  EXPECT_EQ(text_of(*last), "two three");
  EXPECT_TRUE(is_final(*last));
  EXPECT_TRUE(answer.told());
  EXPECT_FALSE(answer.next());
}

TEST(StreamAnswer, AnEndWithoutTextIsAnEmptyPiece) {
  StreamAnswer answer{request()};
  answer.tell_text(true, false);
  answer.add_text("one");
  EXPECT_TRUE(answer.next());
  answer.end_text();
  EXPECT_FALSE(answer.told());
  auto last = answer.next();
  ASSERT_TRUE(last);
  EXPECT_EQ(text_of(*last), "");
  EXPECT_TRUE(is_final(*last));
}

TEST(StreamAnswer, TheEndStandsAloneWhereItWasAskedFor) {
  StreamAnswer answer{request()};
  answer.tell_text(true, true);
  answer.add_text("one");
  answer.end_text();
  auto piece = answer.next();
  ASSERT_TRUE(piece);
  EXPECT_EQ(text_of(*piece), "one");
  EXPECT_FALSE(is_final(*piece));
  EXPECT_FALSE(answer.told());
  auto last = answer.next();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->infer_response().outputs_size(), 0);
  EXPECT_TRUE(is_final(*last));
  EXPECT_TRUE(answer.told());
}

TEST(StreamAnswer, WholeTextWaitsForItsEnd) {
  StreamAnswer answer{request()};
  answer.tell_text(false, false);
  answer.add_text("one ");
  EXPECT_FALSE(answer.next());
  answer.add_text("two");
  answer.end_text();
  auto whole = answer.next();
  ASSERT_TRUE(whole);
  EXPECT_EQ(text_of(*whole), "one two");
  EXPECT_TRUE(is_final(*whole));
}

TEST(StreamAnswer, RawRequestsGetRawText) {
  ::inference::ModelInferRequest raw = request();
  raw.add_raw_input_contents("x");
  StreamAnswer answer{raw};
  answer.tell_text(true, false);
  answer.add_text("hi");
  auto piece = answer.next();
  ASSERT_TRUE(piece);
  EXPECT_EQ(piece->infer_response().raw_output_contents(0), std::string("\x02\0\0\0hi", 6));
}

TEST(StreamAnswer, AnErrorComesAfterTheTextAndNamesTheRequest) {
  StreamAnswer answer{request()};
  answer.tell_text(true, true);
  answer.add_text("half");
  answer.fail(Error{Error::Code::kWorkerLost, "killed"});
  auto piece = answer.next();
  ASSERT_TRUE(piece);
  EXPECT_EQ(text_of(*piece), "half");
  EXPECT_FALSE(is_final(*piece));
  auto last = answer.next();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->error_message(), "worker_lost: killed");
  EXPECT_EQ(last->infer_response().id(), "r1");
  EXPECT_TRUE(is_final(*last));
  EXPECT_TRUE(answer.told());
}

TEST(StreamAnswer, HalfOfAWholeTextIsNotTold) {
  StreamAnswer answer{request()};
  answer.tell_text(false, false);
  answer.add_text("half");
  answer.fail(Error{Error::Code::kWorkerLost, "killed"});
  auto last = answer.next();
  ASSERT_TRUE(last);
  EXPECT_THAT(last->error_message(), HasSubstr("killed"));
  EXPECT_TRUE(answer.told());
}

TEST(StreamAnswer, TensorsAreOneFinalResponse) {
  StreamAnswer answer{request()};
  EXPECT_FALSE(answer.next());
  ::inference::ModelInferResponse tensors;
  tensors.add_outputs()->set_name("y");
  answer.end(std::move(tensors));
  EXPECT_TRUE(answer.ended());
  auto only = answer.next();
  ASSERT_TRUE(only);
  EXPECT_EQ(only->infer_response().outputs(0).name(), "y");
  EXPECT_TRUE(only->error_message().empty());
  EXPECT_TRUE(is_final(*only));
  EXPECT_TRUE(answer.told());
}

}  // namespace
}  // namespace skerry::agent
