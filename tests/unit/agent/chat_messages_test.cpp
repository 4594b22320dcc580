// Conversations over gRPC: what is wrong is named before a model is asked.
#include "grpc/chat_messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace skerry::agent {
namespace {

using ::testing::StartsWith;

skerry::inference::v1::ChatRequest with_call(const std::string& name,
                                             const std::string& arguments) {
  skerry::inference::v1::ChatRequest request;
  auto& asked = *request.add_messages();
  asked.set_role("user");
  asked.set_content("x");
  auto& message = *request.add_messages();
  message.set_role("assistant");
  for (const char* id : {"a", "b"}) {
    auto& call = *message.add_tool_calls();
    call.set_id(id);
    call.set_name("f");
  }
  message.mutable_tool_calls(1)->set_name(name);
  message.mutable_tool_calls(1)->set_arguments(arguments);
  return request;
}

std::string chat_problem(const skerry::inference::v1::ChatRequest& request) {
  const auto read = chat_messages(request);
  EXPECT_FALSE(read);
  if (read) {
    return {};
  }
  EXPECT_EQ(read.error().code(), Error::Code::kInvalidArgument);
  return read.error().message();
}

TEST(ChatMessages, ArgumentsOfCallsAreObjects) {
  for (const char* const wrong : {"[", "[1]", "\"{}\"", "{\"a\":1} x", "null"}) {
    EXPECT_THAT(chat_problem(with_call("f", wrong)),
                StartsWith("messages[1].tool_calls[1].arguments: "))
        << wrong;
  }
  const auto read = chat_messages(with_call("f", R"({ "b": 1, "a": 2 })"));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2U);
  const auto& calls = read->at(1).tool_calls;
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].arguments, "{}") << "of a call without any";
  EXPECT_EQ(calls[1].arguments, R"({ "b": 1, "a": 2 })") << "as they were written";
}

TEST(ChatMessages, OnlyTheAssistantCallsAndOnlyToolsWithNames) {
  EXPECT_THAT(chat_problem(with_call("a b", "{}")), StartsWith("messages[1].tool_calls[1].name: "));
  auto request = with_call("f", "{}");
  request.mutable_messages(1)->set_role("user");
  EXPECT_THAT(chat_problem(request), StartsWith("messages[1].tool_calls: "));
  request = with_call("f", "{}");
  for (int i = 0; i < 127; ++i) {
    *request.mutable_messages(1)->add_tool_calls() = request.messages(1).tool_calls(0);
  }
  EXPECT_THAT(chat_problem(request), StartsWith("messages[1].tool_calls: "));
  EXPECT_THAT(chat_problem({}), StartsWith("messages: "));
}

}  // namespace
}  // namespace skerry::agent
