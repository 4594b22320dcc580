// Documents ranked for a query: skerryd as a process, with the null engine, which says what share
// of the query's words a document has.

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include <gmock/gmock.h>

#include "skerry/common/json.hpp"
#include "skerry/inference/v1/inference.grpc.pb.h"

#include "daemon_harness.hpp"

namespace skerry {
namespace {

namespace pb = inference::v1;
using ::testing::HasSubstr;

constexpr const char* kRequest =
    R"({"model":"default","query":"disk full","documents":["fan slow","disk sda full","full moon"]})";

class RerankDaemon : public ::testing::Test {
 protected:
  void start(const std::map<std::string, std::string>& options) {
    daemon_.activate_echo("1.0.0", 1, options);
    daemon_.start();
  }
  [[nodiscard]] std::string ask(const std::string& path, const std::string& body) const {
    return test::http(daemon_.socket("http"), test::post(path, body));
  }

  test::DaemonHarness daemon_;
};

TEST_F(RerankDaemon, TheBestComesFirstOnEveryPath) {
  start({{"ranks", "1"}});
  for (const char* path : {"/v1/rerank", "/v2/rerank", "/rerank"}) {
    const std::string answer = ask(path, kRequest);
    EXPECT_THAT(answer, HasSubstr("200 OK"));
    const std::size_t at = answer.find("\r\n\r\n");
    ASSERT_NE(at, std::string::npos) << answer << daemon_.log();
    const Result<Json> body = Json::parse(answer.substr(at + 4));
    ASSERT_TRUE(body) << answer;
    const Json* list = body->find("results");
    ASSERT_NE(list, nullptr) << answer;
    const Json::Array& results = *list->array();
    ASSERT_EQ(results.size(), 3U);
    EXPECT_EQ(results[0].get_int("index").value_or(-1), 1);
    EXPECT_EQ(results[0].find("document")->get_string("text").value_or(""), "disk sda full");
    EXPECT_EQ(results[1].get_int("index").value_or(-1), 2);
    EXPECT_EQ(results[2].get_int("index").value_or(-1), 0);
    EXPECT_THAT(answer, HasSubstr("\"relevance_score\":5E-1"));
    // The query, a mark and the document, three times.
    EXPECT_EQ(body->find("usage")->get_int("total_tokens").value_or(0), 3 * 10 + 8 + 13 + 9);
  }
  EXPECT_EQ(daemon_.metric("vllm:request_success_total"), 3);
  EXPECT_THAT(ask("/v2/rerank", R"({"model":"default","query":"q"})"),
              HasSubstr("\"param\":\"documents\""))
      << "not KServe's error";
}

TEST_F(RerankDaemon, OverGrpcToo) {
  start({{"ranks", "1"}});
  auto stub = pb::InferenceService::NewStub(daemon_.channel("api"));
  const auto context = [] {
    auto made = std::make_unique<grpc::ClientContext>();
    made->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds{30});
    return made;
  };
  pb::RerankRequest request;
  request.set_model("default");
  request.set_query("disk full");
  pb::RerankResponse response;
  EXPECT_EQ(stub->Rerank(context().get(), request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT)
      << "no documents";
  for (const char* document : {"fan slow", "disk sda full", "full moon"}) {
    request.add_documents(document);
  }
  request.set_top_n(2);
  const grpc::Status status = stub->Rerank(context().get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message() << daemon_.log();
  ASSERT_EQ(response.results_size(), 2);
  EXPECT_EQ(response.results(0).index(), 1U);
  EXPECT_EQ(response.results(0).relevance(), 1.0F);
  EXPECT_EQ(response.results(1).index(), 2U);
  EXPECT_EQ(response.usage().prompt_tokens(), 60U);
  // A model that ranks does nothing else.
  pb::EmbedRequest embed;
  embed.set_model("default");
  embed.add_input("text");
  pb::EmbedResponse embedded;
  EXPECT_EQ(stub->Embed(context().get(), embed, &embedded).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(RerankDaemon, AModelThatDoesNotRankSaysSo) {
  start({});
  EXPECT_THAT(ask("/v1/rerank", kRequest), HasSubstr("rank documents"));
  EXPECT_EQ(daemon_.metric("skerry_request_failure_total"), 1);
}

}  // namespace
}  // namespace skerry
