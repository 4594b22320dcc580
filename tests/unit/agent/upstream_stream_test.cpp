// What servers send, as they really send it, and what becomes of it.
#include "skerry/agent/upstream_stream.hpp"

#include <gmock/gmock.h>

#include "skerry/agent/upstream_http.hpp"

namespace skerry::agent::upstream {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> data_of(const std::string& stream, std::size_t step) {
  SseReader reader;
  std::vector<SseEvent> events;
  for (std::size_t at = 0; at < stream.size(); at += step) {
    EXPECT_TRUE(reader.feed(std::string_view{stream}.substr(at, step), events));
  }
  reader.finish(events);
  std::vector<std::string> data;
  for (const SseEvent& event : events) {
    data.push_back((event.name.empty() ? "" : event.name + "=") + event.data);
  }
  return data;
}

TEST(UpstreamSse, CutsAStreamIntoEventsHoweverItArrives) {
  const std::string stream =
      "\xef\xbb\xbf: keepalive 2048/4096\n\ndata: {\"a\":1}\r\n\r\ndata:x\rdata: y\r\r"
      "event: error\ndata: bad\nid: 7\n\nretry: 5\n\ndata: [DONE]\n\n";
  for (const std::size_t step : {1U, 2U, 3U, 7U, 1000U}) {
    EXPECT_THAT(data_of(stream, step), ElementsAre("{\"a\":1}", "x\ny", "error=bad", "[DONE]"))
        << step;
  }
}

TEST(UpstreamSse, TakesALastEventWithoutItsEmptyLine) {
  EXPECT_THAT(data_of("data: [DONE]\n", 100), ElementsAre("[DONE]"));
  EXPECT_THAT(data_of("data: [DONE]", 100), ElementsAre("[DONE]"));
  EXPECT_THAT(data_of("event: x\n\n", 100), IsEmpty());
}

TEST(UpstreamSse, RefusesAnEventWithoutAnEnd) {
  SseReader one_line;
  std::vector<SseEvent> events;
  EXPECT_EQ(
      one_line.feed("data: " + std::string(AnswerLimits::kEventBytes, 'x'), events).error().code(),
      Error::Code::kTooLarge);
  SseReader many_lines;
  Result<void> fed;
  for (int i = 0; i < 2000 && fed; ++i) {
    fed = many_lines.feed("data: " + std::string(1000, 'x') + "\n", events);
  }
  EXPECT_FALSE(fed);
}

// Text, finish and usage of a whole stream, or what went wrong.
struct Heard {
  std::string text;
  std::size_t tokens = 0;
  std::optional<runtime::Done> done;
  std::optional<Fault> fault;
  std::vector<runtime::TokenLogProb> log_probs;
  std::string reasoning;
  // "0 id name" of a call, "0: …" of its arguments' next piece.
  std::vector<std::string> calls;
};

Heard hear(const std::vector<std::string>& chunks,
           bool log_probs = false,
           std::size_t most_calls = 0) {
  TextAnswer answer{log_probs, most_calls};
  Heard heard;
  for (const std::string& chunk : chunks) {
    Result<TextAnswer::Piece> piece = answer.take(SseEvent{"", chunk});
    if (!piece) {
      heard.fault = answer.fault();
      return heard;
    }
    heard.text += piece->delta.text;
    heard.tokens += piece->delta.tokens.size();
    heard.reasoning += piece->reasoning;
    for (const runtime::ChatPart& part : piece->calls) {
      const std::string number = std::to_string(part.call);
      heard.calls.push_back(part.kind == runtime::ChatPart::Kind::kCall
                                ? number + " " + part.id + " " + part.name
                                : number + ": " + part.text);
    }
    for (auto& token : piece->delta.log_probs) {
      heard.log_probs.push_back(std::move(token));
    }
  }
  Result<runtime::Done> done = answer.end();
  if (done) {
    heard.done = *done;
  } else {
    heard.fault = answer.fault();
  }
  return heard;
}

TEST(UpstreamAnswer, OfVllm) {
  const Heard heard = hear(
      {R"({"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null})",
       R"({"choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null,"token_ids":null}]})",
       R"({"choices":[{"index":0,"delta":{"content":"lo"},"logprobs":null,"finish_reason":"stop","stop_reason":"END"}]})",
       R"({"choices":[],"usage":{"prompt_tokens":11,"total_tokens":13,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":8}}})",
       "[DONE]"});
  EXPECT_EQ(heard.text, "Hello");
  EXPECT_EQ(heard.tokens, 2U);
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->reason, runtime::FinishReason::kStop);
  EXPECT_EQ(heard.done->stop_match, "END");
  EXPECT_EQ(heard.done->usage.prompt_tokens, 11U);
  EXPECT_EQ(heard.done->usage.cached_tokens, 8U);
  EXPECT_EQ(heard.done->usage.completion_tokens, 2U);
}

TEST(UpstreamAnswer, OfMlxKeepsReasoningOutOfTheText) {
  const Heard heard = hear(
      {R"({"choices":[{"index":0,"finish_reason":null,"delta":{"role":"assistant","content":"","reasoning":"hmm","tool_calls":[]}}]})",
       R"({"choices":[{"index":0,"finish_reason":null,"delta":{"role":"assistant","content":"42","reasoning":"","tool_calls":[]}}]})",
       R"({"choices":[{"index":0,"finish_reason":"length","delta":{"role":"assistant","content":"","reasoning":"","tool_calls":[]}}]})",
       R"({"object":"chat.completion","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":9,"total_tokens":12}})",
       "[DONE]"});
  EXPECT_EQ(heard.text, "42");
  EXPECT_EQ(heard.reasoning, "hmm");
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->reason, runtime::FinishReason::kLength);
  EXPECT_EQ(heard.done->usage.completion_tokens, 9U);
}

// A chunk whose delta has these members.
std::string delta_of(const std::string& members, const std::string& finish = "null") {
  return R"({"choices":[{"index":0,"delta":{)" + members + R"(},"finish_reason":)" + finish + "}]}";
}
std::string calls_of(const std::string& calls, const std::string& finish = "null") {
  return delta_of("\"tool_calls\":[" + calls + "]", finish);
}

TEST(UpstreamAnswer, TellsThoughtsUnderEitherNameOnce) {
  const Heard heard = hear({delta_of(R"("reasoning_content":"so ")"),
                            delta_of(R"("reasoning":"then","reasoning_content":"then")"),
                            delta_of(R"("content":"yes")", "\"stop\""),
                            "[DONE]"});
  EXPECT_EQ(heard.reasoning, "so then");
  EXPECT_EQ(heard.text, "yes");
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->usage.completion_tokens, 3U) << "thoughts cost, too";
}

TEST(UpstreamCalls, OfOpenAiComeInPieces) {
  const Heard heard = hear(
      {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_A","type":"function","function":{"name":"open","arguments":""}}]},"finish_reason":null}]})",
       calls_of(R"({"index":0,"function":{"arguments":"{\"va"}})"),
       calls_of(R"({"index":0,"function":{"arguments":"lve\":3}"}})"),
       calls_of(
           R"({"index":1,"id":"call_B","type":"function","function":{"name":"shut","arguments":""}})"),
       calls_of(R"({"index":1,"function":{"arguments":"{}"}})"),
       delta_of("", "\"tool_calls\""),
       "[DONE]"},
      false,
      8);
  EXPECT_THAT(heard.calls,
              ElementsAre("0 call_A open", "0: {\"va", "0: lve\":3}", "1 call_B shut", "1: {}"));
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->reason, runtime::FinishReason::kStop);
  EXPECT_EQ(heard.done->usage.completion_tokens, 5U);
}

TEST(UpstreamCalls, OfVllmMayHaveTextBeforeThemAndPiecesInTheLastChunk) {
  const Heard heard = hear(
      {delta_of(R"("content":"Let me see.")"),
       calls_of(
           R"({"id":"chatcmpl-tool-9f","type":"function","index":0,"function":{"name":"open"}})"),
       calls_of(R"({"index":0,"function":{"arguments":"{\"a\": "}})"),
       calls_of(R"({"index":0,"function":{"arguments":"1}"}})", "\"tool_calls\""),
       calls_of(R"({"index":0,"function":{"arguments":""}})"),
       "[DONE]"},
      false,
      8);
  EXPECT_EQ(heard.text, "Let me see.");
  EXPECT_THAT(heard.calls, ElementsAre("0 chatcmpl-tool-9f open", "0: {\"a\": ", "0: 1}"));
  EXPECT_TRUE(heard.done);
}

TEST(UpstreamCalls, OfAnOlderVllmHaveANewIdInEachPiece) {
  const Heard heard = hear(
      {calls_of(
           R"({"id":"chatcmpl-tool-1","type":"function","index":0,"function":{"name":"open"}})"),
       calls_of(
           R"({"id":"chatcmpl-tool-2","type":"function","index":0,"function":{"arguments":"{\"a\":"}})"),
       calls_of(
           R"({"id":"chatcmpl-tool-3","type":"function","index":0,"function":{"arguments":"1}"}})"),
       calls_of(
           R"({"id":"chatcmpl-tool-4","type":"function","index":1,"function":{"name":"shut"}})",
           "\"tool_calls\""),
       "[DONE]"},
      false,
      8);
  EXPECT_THAT(
      heard.calls,
      ElementsAre(
          "0 chatcmpl-tool-1 open", "0: {\"a\":", "0: 1}", "1 chatcmpl-tool-4 shut", "1: {}"));
}

TEST(UpstreamCalls, OfOllamaAreWhole) {
  const Heard heard = hear(
      {calls_of(
           R"({"id":"call_1","index":0,"type":"function","function":{"name":"open","arguments":"{\"a\":1}"}},)"
           R"({"id":"call_2","index":1,"type":"function","function":{"name":"open","arguments":"{}"}})"),
       delta_of(R"("content":"")", "\"tool_calls\""),
       "[DONE]"},
      false,
      8);
  EXPECT_THAT(heard.calls, ElementsAre("0 call_1 open", "0: {\"a\":1}", "1 call_2 open", "1: {}"));
  // Its older releases number all of them 0.
  const Heard older =
      hear({calls_of(R"({"id":"call_1","index":0,"function":{"name":"open","arguments":"{}"}},)"
                     R"({"id":"call_2","index":0,"function":{"name":"open","arguments":"{}"}})"),
            delta_of("", "\"stop\""),
            "[DONE]"},
           false,
           8);
  EXPECT_THAT(older.calls, ElementsAre("0 call_1 open", "0: {}", "1 call_2 open", "1: {}"));
}

TEST(UpstreamCalls, NeedNeitherNumberNorIdNorArguments) {
  const Heard heard = hear(
      {calls_of(R"({"type":"function","id":null,"function":{"name":"open","arguments":{"a":1}}},)"
                R"({"type":"function","function":{"name":"shut"}})",
                "\"tool_calls\""),
       "[DONE]"},
      false,
      8);
  EXPECT_THAT(heard.calls, ElementsAre("0  open", "0: {\"a\":1}", "1  shut", "1: {}"));
}

TEST(UpstreamCalls, AreTheFirstAloneWhereOneIsWanted) {
  const std::string both =
      calls_of(R"({"index":0,"id":"a","function":{"name":"open","arguments":"{}"}},)"
               R"({"index":1,"id":"b","function":{"name":"shut","arguments":"{}"}})",
               "\"tool_calls\"");
  EXPECT_THAT(hear({both, "[DONE]"}, false, 1).calls, ElementsAre("0 a open", "0: {}"));
  EXPECT_THAT(hear({both, "[DONE]"}, false, 0).calls, IsEmpty()) << "none was offered";
}

TEST(UpstreamCalls, ThatWereCutAreToldAsFarAsTheyCame) {
  const Heard heard = hear({calls_of(R"({"index":0,"id":"a","function":{"name":"open"}})"),
                            calls_of(R"({"index":0,"function":{"arguments":"{\"x"}})"),
                            delta_of("", "\"length\""),
                            "[DONE]"},
                           false,
                           8);
  EXPECT_THAT(heard.calls, ElementsAre("0 a open", "0: {\"x"));
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->reason, runtime::FinishReason::kLength);
}

TEST(UpstreamCalls, ThatMakeNoSenseAreTheServersFault) {
  const std::string many(AnswerLimits::kArgumentBytes / 2, '1');
  const std::string piece = R"({"index":0,"function":{"name":"open","arguments":")" + many + "\"}}";
  std::string crowd;
  for (std::size_t i = 0; i <= AnswerLimits::kCalls; ++i) {
    crowd += std::string{crowd.empty() ? "" : ","} + R"({"function":{"name":"open"}})";
  }
  const std::vector<std::vector<std::string>> cases{
      {calls_of(R"({"index":0,"function":{"name":"rm -rf /","arguments":"{}"}})")},
      {calls_of(R"({"index":0,"function":{"name":")" + std::string(65, 'a') + "\"}}")},
      {calls_of(R"({"index":0,"function":{"arguments":"{}"}})", "\"tool_calls\"")},
      {calls_of(R"({"index":0,"function":{"name":"open"}})"),
       calls_of(R"({"index":1,"function":{"name":"open"}})"),
       calls_of(R"({"index":0,"function":{"arguments":"{}"}})")},
      {calls_of(piece), calls_of(piece), calls_of(piece)},
      {calls_of(crowd)}};
  for (const std::vector<std::string>& chunks : cases) {
    const Heard heard = hear(chunks, false, AnswerLimits::kCalls);
    ASSERT_TRUE(heard.fault) << chunks.front().substr(0, 200);
    EXPECT_EQ(heard.fault->blame, Blame::kServer);
    EXPECT_THAT(heard.fault->error.message(), HasSubstr("a call of a tool"));
  }
}

TEST(UpstreamCalls, HaveIdsThatAreWords) {
  const Heard heard =
      hear({calls_of(R"({"index":0,"id":"a\nb","function":{"name":"open","arguments":"{}"}})",
                     "\"tool_calls\"")},
           false,
           8);
  EXPECT_THAT(heard.calls, ElementsAre("0  open", "0: {}"));
}

TEST(UpstreamAnswer, OfFoundryWithItsEmptyErrorAndItsMessage) {
  const char* const chunk =
      R"({"model":"phi","choices":[{"delta":{"role":"assistant","content":" breath","name":null,"tool_call_id":null,"function_call":null,"tool_calls":[]},"message":{"role":"assistant","content":" breath"},"index":0,"finish_reason":null,"finish_details":null,"logprobs":null}],"usage":null,"IsDelta":false,"Successful":true,"error":null,"HttpStatusCode":0,"object":"chat.completion.chunk"})";
  const Heard heard = hear(
      {chunk,
       chunk,
       R"({"choices":[{"delta":{"role":"assistant","content":""},"index":0,"finish_reason":"stop"}],"usage":null,"error":null})",
       "[DONE]"});
  EXPECT_EQ(heard.text, " breath breath");
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->usage.completion_tokens, 2U) << "counted here: it tells none";
}

TEST(UpstreamAnswer, OfOllamaMayFailInTheMiddle) {
  const Heard heard = hear(
      {R"({"choices":[{"index":0,"delta":{"role":"assistant","content":"a"},"finish_reason":null}]})",
       R"({"error":{"message":"llama runner process has terminated","type":"api_error","param":null,"code":null}})"});
  EXPECT_EQ(heard.text, "a");
  ASSERT_TRUE(heard.fault);
  EXPECT_EQ(heard.fault->blame, Blame::kServer);
  EXPECT_THAT(heard.fault->error.message(), HasSubstr("llama runner process"));
}

TEST(UpstreamAnswer, OfACompletion) {
  const Heard heard = hear(
      {R"({"object":"text_completion","choices":[{"index":0,"text":"ab","logprobs":{"tokens":["a","b"],"token_logprobs":[-0.5,null],"top_logprobs":[{"x":-2.0,"a":-0.5},null],"text_offset":[0,1]},"finish_reason":"length"}]})",
       "[DONE]"},
      true);
  EXPECT_EQ(heard.text, "ab");
  ASSERT_EQ(heard.log_probs.size(), 2U);
  EXPECT_FLOAT_EQ(heard.log_probs[0].chosen.log_prob, -0.5F);
  ASSERT_EQ(heard.log_probs[0].top.size(), 2U);
  EXPECT_EQ(heard.log_probs[0].top[0].piece, "a") << "most probable first";
  EXPECT_EQ(heard.tokens, 2U);
}

TEST(UpstreamAnswer, TellsTheBytesOfATokenThatIsPartOfACodePoint) {
  const Heard heard = hear(
      {R"({"choices":[{"index":0,"delta":{"content":"\u00e9"},"logprobs":{"content":[{"token":"\ufffd","logprob":-1.25,"bytes":[195],"top_logprobs":[{"token":"\ufffd","logprob":-1.25,"bytes":[195]}]}]},"finish_reason":"stop"}]})"},
      true);
  ASSERT_EQ(heard.log_probs.size(), 1U);
  EXPECT_EQ(heard.log_probs[0].chosen.piece, "\xc3");
  EXPECT_EQ(heard.log_probs[0].top[0].piece, "\xc3");
}

TEST(UpstreamAnswer, WithAUsageOfNothingIsCountedHere) {
  const Heard heard = hear(
      {R"({"choices":[{"index":0,"delta":{"content":"a"}}],"usage":{"prompt_tokens":0,"completion_tokens":0}})",
       R"({"choices":[{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}],"usage":{}})",
       "[DONE]"});
  ASSERT_TRUE(heard.done);
  EXPECT_EQ(heard.done->usage.completion_tokens, 2U);
}

TEST(UpstreamAnswer, HasLogProbsThatAreNumbers) {
  const Heard heard = hear(
      {R"({"choices":[{"index":0,"delta":{"content":"ab"},"logprobs":{"content":[{"token":"a","logprob":-1e300},{"token":"b","logprob":7}]},"finish_reason":"stop"}]})"},
      true);
  ASSERT_EQ(heard.log_probs.size(), 2U);
  EXPECT_FLOAT_EQ(heard.log_probs[0].chosen.log_prob, -1.0e9F);
  EXPECT_FLOAT_EQ(heard.log_probs[1].chosen.log_prob, 0.0F);
}

TEST(UpstreamAnswer, OfTooManyValuesIsNotRead) {
  std::string zeros = "0";
  for (std::size_t i = 0; i < AnswerLimits::kEventValues; ++i) {
    zeros += ",0";
  }
  const Heard heard = hear({"{\"choices\":[{\"delta\":{\"content\":[" + zeros + "]}}]}"});
  ASSERT_TRUE(heard.fault);
  EXPECT_THAT(heard.fault->error.message(), HasSubstr("values"));
}

TEST(UpstreamAnswer, IsQuotedInOneBoundedLineWhereItCannotBeRead) {
  const std::string key(5000, 'k');
  const Heard heard = hear({"{\"" + key + "\":1,\"" + key + "\":2}"});
  ASSERT_TRUE(heard.fault);
  EXPECT_LT(heard.fault->error.message().size(), 400U);
}

TEST(UpstreamAnswer, ThatStopsInTheMiddleIsNoAnswer) {
  const Heard heard = hear({R"({"choices":[{"index":0,"delta":{"content":"a"}}]})"});
  ASSERT_TRUE(heard.fault);
  EXPECT_EQ(heard.fault->blame, Blame::kLost);
  EXPECT_TRUE(hear({R"({"choices":[{"index":0,"delta":{"content":"a"}}]})", "[DONE]"}).done)
      << "some end with [DONE] alone";
}

TEST(UpstreamAnswer, IsNotAtItsEndForAnEmptyReason) {
  const Heard heard = hear({delta_of(R"("content":"a")", "\"\""), delta_of(R"("content":"b")")});
  EXPECT_EQ(heard.text, "ab");
  ASSERT_TRUE(heard.fault) << "it stopped in the middle";
  EXPECT_EQ(heard.fault->blame, Blame::kLost);
}

TEST(UpstreamAnswer, ThatWasWithheldIsAFailure) {
  const Heard heard =
      hear({R"({"choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]})", "[DONE]"});
  ASSERT_TRUE(heard.fault);
  EXPECT_THAT(heard.fault->error.message(), HasSubstr("content_filter"));
  EXPECT_EQ(heard.fault->blame, Blame::kRequest) << "nothing is wrong with the server";
}

TEST(UpstreamAnswer, OfGarbageIsTheServersFault) {
  for (const char* chunk : {"", "nonsense", "[]", "\"text\"", "{\"choices\":", "\xff\xfe"}) {
    const Heard heard = hear({chunk});
    ASSERT_TRUE(heard.fault) << chunk;
    EXPECT_NE(heard.fault->blame, Blame::kRequest) << chunk;
  }
}

struct StatusCase {
  int status;
  const char* body;
  Error::Code code;
  Blame blame;
};

class UpstreamStatus : public ::testing::TestWithParam<StatusCase> {};

TEST_P(UpstreamStatus, HasACodeAndABlame) {
  const Fault fault = fault_of(GetParam().status, GetParam().body);
  EXPECT_EQ(fault.error.code(), GetParam().code) << fault.error.to_string();
  EXPECT_EQ(fault.blame, GetParam().blame) << fault.error.to_string();
}

using Code = Error::Code;
INSTANTIATE_TEST_SUITE_P(
    Table,
    UpstreamStatus,
    ::testing::Values(
        // vLLM of today and of before, OpenAI, llama.cpp, mlx_lm.
        StatusCase{
            400,
            R"({"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","param":null,"code":400}})",
            Code::kContextTooLong,
            Blame::kRequest},
        StatusCase{
            400,
            R"({"object":"error","message":"This model's maximum context length is 4096 tokens","type":"BadRequestError","param":null,"code":400})",
            Code::kContextTooLong,
            Blame::kRequest},
        StatusCase{400,
                   R"({"error":{"message":"too long","code":"context_length_exceeded"}})",
                   Code::kContextTooLong,
                   Blame::kRequest},
        StatusCase{
            400,
            R"({"error":{"code":400,"message":"the request exceeds the available context size","type":"exceed_context_size_error"}})",
            Code::kContextTooLong,
            Blame::kRequest},
        StatusCase{
            400, R"({"error": "temperature must be"})", Code::kInvalidArgument, Blame::kRequest},
        StatusCase{422, R"({"detail":"bad"})", Code::kInvalidArgument, Blame::kRequest},
        StatusCase{401, "", Code::kUnavailable, Blame::kSettings},
        StatusCase{403, R"({"error":"moderated"})", Code::kUnavailable, Blame::kServer},
        StatusCase{404,
                   R"({"error":{"message":"model 'x' not found","type":"not_found_error"}})",
                   Code::kUnavailable,
                   Blame::kMissing},
        StatusCase{411, "", Code::kUnavailable, Blame::kSettings},
        StatusCase{413, "", Code::kTooLarge, Blame::kRequest},
        StatusCase{429, "{}", Code::kResourceExhausted, Blame::kBusy},
        StatusCase{503, R"({"error":{"message":"server busy"}})", Code::kUnavailable, Blame::kBusy},
        StatusCase{500, "<html>", Code::kUnavailable, Blame::kServer},
        StatusCase{302, "", Code::kUnavailable, Blame::kSettings},
        StatusCase{501, "", Code::kUnimplemented, Blame::kRequest}));

TEST(UpstreamFault, QuotesTheServerInOneBoundedLine) {
  const Fault fault = fault_of(500, R"({"error":"a\nb\u001b[31m)" + std::string(5000, 'x') + "\"}");
  EXPECT_LT(fault.error.message().size(), 400U);
  EXPECT_EQ(fault.error.message().find('\n'), std::string::npos);
  EXPECT_EQ(fault.error.message().find('\x1b'), std::string::npos);
}

TEST(UpstreamFault, HasABriefWithoutTheServersWords) {
  for (const int status : {400, 401, 404, 405, 413, 429, 500, 501, 503, 302}) {
    const Fault fault = fault_of(status, R"({"error":"my secret plan"})");
    EXPECT_THAT(fault.error.message(), HasSubstr("my secret plan"));
    EXPECT_FALSE(fault.brief.empty()) << status;
    EXPECT_EQ(fault.brief.find("secret"), std::string::npos) << status;
  }
}

TEST(UpstreamLists, EmbeddingsBeyondAFloatKeepTheirDirection) {
  const auto large = read_embeddings(R"({"data":[{"index":0,"embedding":[3e60,4e60]}]})", 1);
  ASSERT_TRUE(large);
  EXPECT_THAT(large->embeddings.vectors[0], ElementsAre(0.6F, 0.8F));
  const auto small = read_embeddings(R"({"data":[{"index":0,"embedding":[3e-60,4e-60]}]})", 1);
  ASSERT_TRUE(small);
  EXPECT_THAT(small->embeddings.vectors[0], ElementsAre(0.6F, 0.8F));
  EXPECT_FALSE(read_embeddings(R"({"data":[{"index":0,"embedding":[1e200,1e200]}]})", 1));
}

TEST(UpstreamLists, EmbeddingsAreOrderedAndScaled) {
  const Result<EmbedAnswer> answer = read_embeddings(
      R"({"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3.0,4.0]}],"usage":{"prompt_tokens":5}})",
      2);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_THAT(answer->embeddings.vectors[0], ElementsAre(0.6F, 0.8F));
  EXPECT_THAT(answer->embeddings.vectors[1], ElementsAre(0.0F, 1.0F));
  EXPECT_EQ(answer->usage.prompt_tokens, 5U);
}

TEST(UpstreamLists, EmbeddingsThatDoNotFitAreRefused) {
  for (const char* json :
       {R"({})",
        R"({"data":[]})",
        R"({"data":[{"index":0,"embedding":[]}]})",
        R"({"data":[{"index":0,"embedding":["1"]}]})",
        R"({"data":[{"index":0,"embedding":[0,0]}]})",
        R"({"data":[{"index":5,"embedding":[1]}]})",
        R"({"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]})"}) {
    EXPECT_FALSE(read_embeddings(json, 1)) << json;
  }
  EXPECT_FALSE(read_embeddings(
      R"({"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,0]}]})", 2));
}

TEST(UpstreamLists, ModelsAreFoundAsTheServerNamesThem) {
  const auto models =
      read_models(R"({"object":"list","data":[{"id":"qwen:7b"},{"id":"phi:latest"}]})");
  ASSERT_TRUE(models);
  EXPECT_TRUE(offers(quirks_of(ServerKind::kOllama), *models, "phi"));
  EXPECT_TRUE(offers(quirks_of(ServerKind::kOllama), *models, "qwen:7b"));
  EXPECT_FALSE(offers(quirks_of(ServerKind::kOllama), *models, "qwen"));
  EXPECT_FALSE(offers(quirks_of(ServerKind::kVllm), *models, "phi"));
  EXPECT_TRUE(read_models(R"({"object":"list","data":null})")->empty());
  EXPECT_FALSE(read_models("[]"));
}

TEST(UpstreamLists, LoadIsWhatRunsAndWhatWaits) {
  EXPECT_EQ(read_load("# HELP vllm:num_requests_running x\n"
                      "vllm:num_requests_running{engine=\"0\",model_name=\"a b\"} 3.0\n"
                      "vllm:num_requests_waiting{engine=\"0\",model_name=\"a\"} 2.0\n"
                      "vllm:num_requests_running{engine=\"1\",model_name=\"a\"} 1.0\n"),
            6.0);
  EXPECT_EQ(read_load("process_cpu_seconds_total 3\n"), std::nullopt);
  EXPECT_EQ(read_load("vllm:num_requests_running"), std::nullopt);
}

TEST(UpstreamReply, ArrivesInAnyPieces) {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n"
      "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
  for (const std::size_t step : {1U, 3U, 1000U}) {
    ReplyReader reader{1000};
    std::string body;
    for (std::size_t at = 0; at < chunked.size(); at += step) {
      ASSERT_TRUE(reader.feed(std::string_view{chunked}.substr(at, step)));
      body += reader.take_body();
    }
    EXPECT_TRUE(reader.complete());
    EXPECT_EQ(reader.status(), 200);
    EXPECT_EQ(reader.content_type(), "text/event-stream");
    EXPECT_EQ(body, "hello world");
  }
}

TEST(UpstreamReply, OfAnOldServerEndsWithTheConnection) {
  ReplyReader reader{1000};
  ASSERT_TRUE(reader.feed("HTTP/1.0 200 OK\r\nContent-type: text/event-stream\r\n\r\ndata: 1\n"));
  EXPECT_TRUE(reader.has_head());
  EXPECT_FALSE(reader.complete());
  ASSERT_TRUE(reader.feed("\ndata: 2\n\n"));
  EXPECT_EQ(reader.take_body(), "data: 1\n\ndata: 2\n\n");
  EXPECT_TRUE(reader.finish());
}

TEST(UpstreamReply, ThatIsCutIsATorso) {
  ReplyReader reader{1000};
  ASSERT_TRUE(reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"));
  EXPECT_FALSE(reader.finish());
  ReplyReader silent{1000};
  EXPECT_FALSE(silent.finish());
}

TEST(UpstreamReply, HasLimits) {
  ReplyReader large{100};
  EXPECT_FALSE(large.feed("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"));
  ReplyReader header{100};
  EXPECT_FALSE(header.feed("HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x')));
  ReplyReader nonsense{100};
  EXPECT_FALSE(nonsense.feed("SSH-2.0-OpenSSH_9.2\r\n\r\n"));
  ReplyReader busy{100};
  ASSERT_TRUE(busy.feed("HTTP/1.1 503 x\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(busy.retry_after(), 3600U);
}

}  // namespace
}  // namespace skerry::agent::upstream
