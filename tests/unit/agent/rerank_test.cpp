// Bodies of rerank requests and answers.
#include "skerry/agent/rerank.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "skerry/common/json.hpp"

namespace skerry::agent::rerank {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::size_t kMost = 1U << 20U;

TEST(Rerank, ReadsWhatJinaCohereAndVllmSend) {
  Result<Request> request =
      parse(R"({"model":"m","query":"q","documents":["a",{"text":"b"}],"top_n":1})", kMost);
  ASSERT_TRUE(request) << request.error().to_string();
  EXPECT_EQ(request->model, "m");
  EXPECT_EQ(request->query, "q");
  EXPECT_THAT(request->documents, ElementsAre("a", "b"));
  EXPECT_EQ(request->top_n, 1U);
  EXPECT_TRUE(request->return_documents);
  request = parse(
      R"({"model":"m","query":"q","documents":["a"],"top_n":9,"return_documents":false,"user":1})",
      kMost);
  ASSERT_TRUE(request) << request.error().to_string();
  EXPECT_EQ(request->top_n, 1U);
  EXPECT_FALSE(request->return_documents);
}

TEST(Rerank, NamesWhatIsWrong) {
  for (const auto& [body, named] :
       {std::pair{R"({"query":"q","documents":["a"]})", "model"},
        std::pair{R"({"model":"m","documents":["a"]})", "query: "},
        std::pair{R"({"model":"m","query":"","documents":["a"]})", "query: "},
        std::pair{R"({"model":"m","query":"q"})", "documents: "},
        std::pair{R"({"model":"m","query":"q","documents":[]})", "documents: "},
        std::pair{R"({"model":"m","query":"q","documents":["a",1]})", "documents[1]: "},
        std::pair{R"({"model":"m","query":"q","documents":[{"image":"a"}]})", "documents[0]: "},
        std::pair{R"({"model":"m","query":"q","documents":["a"],"top_n":0})", "top_n: "},
        std::pair{R"({"model":"m","query":"q","documents":["a"],"max_tokens_per_doc":5})",
                  "max_tokens_per_doc: "}}) {
    const Result<Request> request = parse(body, kMost);
    ASSERT_FALSE(request) << body;
    EXPECT_EQ(request.error().code(), Error::Code::kInvalidArgument) << body;
    EXPECT_THAT(request.error().message(), HasSubstr(named)) << body;
  }
  EXPECT_EQ(parse("{", kMost).error().code(), Error::Code::kParse);
  EXPECT_FALSE(parse(R"({"model":"m","query":"q","documents":["a"]})", 10));
}

TEST(Rerank, TellsTheBestFirst) {
  EXPECT_THAT(best_first(std::vector<float>{0.1F, 0.9F, 0.5F, 0.9F}, 3), ElementsAre(1, 3, 2));
  EXPECT_THAT(best_first(std::vector<float>{}, 3), ElementsAre());
  Request request;
  request.documents = {"a", "b", "c"};
  request.top_n = 2;
  const Answer answer{
      .id = "rerank-1", .model = "m", .relevances = {0, 0.5F, 1}, .prompt_tokens = 7};
  const Result<Json> body = Json::parse(answer_body(request, answer));
  ASSERT_TRUE(body);
  const Json::Array& results = *body->find("results")->array();
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].get_int("index").value_or(-1), 2);
  EXPECT_EQ(results[0].find("document")->get_string("text").value_or(""), "c");
  EXPECT_EQ(results[1].get_int("index").value_or(-1), 1);
  EXPECT_EQ(body->find("usage")->get_int("total_tokens").value_or(0), 7);
  request.return_documents = false;
  EXPECT_EQ(answer_body(request, answer).find("document"), std::string::npos);
}

}  // namespace
}  // namespace skerry::agent::rerank
