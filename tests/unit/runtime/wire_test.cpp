#include "wire.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

RequestMeta meta() {
  return {.id = RequestId{"r1"},
          .principal = "uid:7",
          .priority = PriorityClass::kBatch,
          .deadline = BootTime{12345},
          .model = Digest::of("m")};
}

template <class T>
T through(T request) {
  worker::v1::Submit message;
  wire::put_request(9, Request{std::move(request)}, message);
  worker::v1::Submit copy;
  EXPECT_TRUE(copy.ParseFromString(message.SerializeAsString()));
  auto parsed = wire::parse_request(copy);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().to_string());
  return std::get<T>(std::move(*parsed));
}

TEST(Wire, GenerateRequestSurvives) {
  GenerateRequest request;
  request.meta = meta();
  request.prompt = PromptChat{{{"user", "hi"}}};
  request.sampling = {.temperature = 0.5F,
                      .top_k = 3,
                      .frequency_penalty = -1.5F,
                      .presence_penalty = 0.25F,
                      .seed = 0};
  request.max_tokens = 5;
  request.stop = {"x", "y"};
  request.grammar = "root ::= \"x\"";
  request.log_probs = 0;
  const GenerateRequest back = through(request);
  EXPECT_EQ(back.meta.id, request.meta.id);
  EXPECT_EQ(back.meta.principal, "uid:7");
  EXPECT_EQ(back.meta.priority, PriorityClass::kBatch);
  EXPECT_EQ(back.meta.deadline, request.meta.deadline);
  EXPECT_EQ(back.meta.model, request.meta.model);
  EXPECT_EQ(std::get<PromptChat>(back.prompt).messages.at(0).content, "hi");
  EXPECT_EQ(back.sampling, request.sampling);
  EXPECT_EQ(back.stop, request.stop);
  EXPECT_EQ(back.grammar, request.grammar);
  EXPECT_EQ(back.log_probs, 0U) << "asked for, without alternatives";
}

TEST(Wire, EmbedRequestsSurviveWithAndWithoutAQuery) {
  EmbedRequest request;
  request.meta = meta();
  request.texts = {"a", ""};
  EXPECT_EQ(through(request).texts, request.texts);
  EXPECT_EQ(through(request).query, std::nullopt);
  request.query = "";
  EXPECT_EQ(through(request).query, "");
}

TEST(Wire, ChatsSurviveWhole) {
  GenerateRequest request;
  request.meta = meta();
  PromptChat chat;
  chat.messages.push_back({"user", "hi"});
  ChatMessage called{"assistant", ""};
  called.reasoning = "hm";
  called.tool_calls = {{"c1", "f", "{\"a\":1}"}};
  chat.messages.push_back(called);
  ChatMessage result{"tool", "r"};
  result.tool_call_id = "c1";
  result.name = "f";
  chat.messages.push_back(result);
  chat.tools = "[]";
  chat.add_generation_prompt = false;
  chat.thinking = false;
  chat.answer_begins = "<tool_call>";
  chat.now = 7;
  request.prompt = chat;
  request.grammar = "root ::= \"x\"";
  request.grammar_triggers = {"x"};
  request.grammar_starts = {"y"};
  const GenerateRequest back = through(request);
  const auto& told = std::get<PromptChat>(back.prompt);
  ASSERT_EQ(told.messages.size(), 3U);
  EXPECT_EQ(told.messages[1].reasoning, "hm");
  EXPECT_EQ(told.messages[1].tool_calls, called.tool_calls);
  EXPECT_EQ(told.messages[2].tool_call_id, "c1");
  EXPECT_EQ(told.messages[2].name, "f");
  EXPECT_EQ(told.tools, "[]");
  EXPECT_FALSE(told.add_generation_prompt);
  EXPECT_EQ(told.thinking, false);
  EXPECT_EQ(told.answer_begins, "<tool_call>");
  EXPECT_EQ(told.now, 7);
  EXPECT_EQ(back.grammar_triggers, request.grammar_triggers);
  EXPECT_EQ(back.grammar_starts, request.grammar_starts);
}

TEST(Wire, PromptBytesNeedNotBeText) {
  ScoreRequest request;
  request.meta = meta();
  request.prompt = Prompt{std::string{"\xff\0x", 3}};
  EXPECT_EQ(std::get<Prompt>(through(request).prompt).text, (std::string{"\xff\0x", 3}));
}

TEST(Wire, TensorsSurvive) {
  InferRequest request;
  request.meta = meta();
  request.inputs.push_back({.name = "a", .type = DataType::kUint8, .shape = {3}, .data = "abc"});
  request.outputs = {"b"};
  const InferRequest back = through(request);
  EXPECT_EQ(back.inputs.at(0).data, "abc");
  EXPECT_EQ(back.outputs, request.outputs);
}

TEST(Wire, EventsSurvive) {
  const auto back = [](Event event) {
    worker::v1::Event message;
    wire::put_event(3, std::move(event), message);
    auto parsed = wire::parse_event(message);
    EXPECT_TRUE(parsed);
    return std::move(*parsed);
  };
  EXPECT_EQ(std::get<TextDelta>(back(TextDelta{"é", {1, 2}, {}})).tokens.size(), 2U);
  const TokenLogProb one{.chosen = {.token = 7, .piece = "\xff", .log_prob = -1.5},
                         .top = {{.token = 8, .piece = "y", .log_prob = -0.25}}};
  const TextDelta told = std::get<TextDelta>(back(TextDelta{"x", {7}, {one}}));
  ASSERT_EQ(told.log_probs.size(), 1U);
  EXPECT_EQ(told.log_probs[0].chosen.piece, "\xff");
  EXPECT_EQ(told.log_probs[0].top.at(0).token, 8);
  EXPECT_DOUBLE_EQ(told.log_probs[0].top[0].log_prob, -0.25);
  const Done done = std::get<Done>(back(Done{.reason = FinishReason::kLength,
                                             .usage = {.prompt_tokens = 4},
                                             .timing = {.total = std::chrono::seconds{2}},
                                             .stop_match = "s"}));
  EXPECT_EQ(done.reason, FinishReason::kLength);
  EXPECT_EQ(done.usage.prompt_tokens, 4U);
  EXPECT_EQ(done.timing.total, std::chrono::seconds{2});
  const Failure failure = std::get<Failure>(
      back(Failure{.error = Error{Error::Code::kContextTooLong, "long"}, .retryable = true}));
  EXPECT_EQ(failure.error.code(), Error::Code::kContextTooLong);
  EXPECT_TRUE(failure.retryable);
}

TEST(Wire, NonsenseFromAWorkerIsRefused) {
  worker::v1::Event empty;
  EXPECT_FALSE(wire::parse_event(empty));
  worker::v1::Event reason;
  reason.mutable_done()->set_reason(77);
  EXPECT_FALSE(wire::parse_event(reason));
  worker::v1::Event tensor;
  auto& one = *tensor.mutable_tensors()->add_outputs();
  one.set_name("x");
  one.set_type(11);
  one.add_shape(std::int64_t{1} << 60);
  EXPECT_FALSE(wire::parse_event(tensor));
  worker::v1::Event scores;
  scores.mutable_scores()->add_tokens()->add_top_tokens(1);
  EXPECT_FALSE(wire::parse_event(scores));
  EXPECT_EQ(wire::parse_error(9999, "m").code(), Error::Code::kWorkerLost);
}

PrefixState some_state() {
  PrefixState state;
  state.names = {Digest::of("1"), Digest::of("2")};
  state.tokens = 64;
  state.format = "engine 1, f16";
  state.recompute = std::chrono::milliseconds{250};
  return state;
}

TEST(Wire, StatesOfPrefixesAndQuestionsSurvive) {
  worker::v1::PrefixSave save;
  wire::put_prefix(some_state(), 4096, save);
  const auto saved = wire::parse_prefix(save);
  ASSERT_TRUE(saved) << saved.error().to_string();
  EXPECT_EQ(saved->state.names, some_state().names);
  EXPECT_EQ(saved->state.tokens, 64U);
  EXPECT_EQ(saved->state.format, "engine 1, f16");
  EXPECT_EQ(saved->state.recompute, std::chrono::milliseconds{250});
  EXPECT_EQ(saved->size, 4096U);
  worker::v1::PrefixQuery query;
  wire::put_question({.key = 7, .format = "f", .names = some_state().names}, query);
  const auto question = wire::parse_question(query);
  ASSERT_TRUE(question) << question.error().to_string();
  EXPECT_EQ(question->key, 7U);
  EXPECT_EQ(question->format, "f");
  EXPECT_EQ(question->names, some_state().names);
}

TEST(Wire, NonsenseAboutPrefixesIsRefused) {
  worker::v1::PrefixSave good;
  wire::put_prefix(some_state(), 4096, good);
  const auto refused = [&good](auto change) {
    worker::v1::PrefixSave bad = good;
    change(bad);
    EXPECT_FALSE(wire::parse_prefix(bad)) << bad.ByteSizeLong();
  };
  refused([](auto& save) { save.clear_names(); });
  refused([](auto& save) { save.mutable_names()->pop_back(); });
  refused([](auto& save) { save.set_names(std::string(32 * (wire::kMostPrefixNames + 1), 'x')); });
  refused([](auto& save) { save.set_tokens(65); });
  refused([](auto& save) { save.set_tokens(0); });
  refused([](auto& save) { save.clear_format(); });
  refused([](auto& save) { save.set_format(std::string(201, 'f')); });
  refused([](auto& save) { save.set_recompute_ns(-1); });
  refused([](auto& save) { save.set_size(0); });
  worker::v1::PrefixQuery query;
  wire::put_question({.key = 1, .format = "f", .names = {Digest::of("1")}}, query);
  EXPECT_TRUE(wire::parse_question(query));
  query.set_names(std::string(32 * (wire::kMostQueryNames + 1), 'x'));
  EXPECT_FALSE(wire::parse_question(query));
  query.set_names("short");
  EXPECT_FALSE(wire::parse_question(query));
}

TEST(Wire, UnknownSandboxLayersAreDropped) {
  worker::v1::SetupDone message;
  message.add_sandbox()->set_layer(99);
  auto& seccomp = *message.add_sandbox();
  seccomp.set_layer(5);
  seccomp.set_achieved(true);
  const auto report = wire::parse_sandbox(message);
  EXPECT_EQ(report.layers.size(), 1U);
  EXPECT_TRUE(report.achieved(security::SandboxLayer::kSeccomp));
}

}  // namespace
}  // namespace skerry::runtime
