// The host's grammars beside llama.cpp's own: over real vocabularies, the same tokens may come next
// at every step of random walks.
#include <filesystem>
#include <llama.h>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "skerry/common/bytes.hpp"

#include "constraint.hpp"

namespace skerry::runtime {
namespace {

struct FreeSampler {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};
struct FreeModel {
  void operator()(llama_model* model) const { llama_model_free(model); }
};

// What a constraint asks of an engine, over a model's vocabulary alone.
class VocabularyEngine final : public StepEngine {
 public:
  explicit VocabularyEngine(const llama_vocab* vocab) : vocab_(vocab) {}
  DecodeOutcome decode(std::span<const Row>) override { return {}; }
  std::span<const float> logits(std::size_t) override { return {}; }
  std::span<const float> embedding(std::size_t) override { return {}; }
  void remove_sequence(std::uint32_t) override {}
  Result<std::vector<std::int32_t>> tokenize(std::string_view, bool, bool) override {
    return std::vector<std::int32_t>{};
  }
  Result<std::string> piece(std::int32_t token) override {
    std::string text(512, '\0');
    const int size = llama_token_to_piece(
        vocab_, token, text.data(), static_cast<std::int32_t>(text.size()), 0, false);
    text.resize(static_cast<std::size_t>(std::max(size, 0)));
    return text;
  }
  bool is_end(std::int32_t token) override { return llama_vocab_is_eog(vocab_, token); }
  Result<std::string> apply_template(std::span<const ChatMessage>) override {
    return std::string{};
  }

 private:
  const llama_vocab* vocab_;
};

constexpr const char* kJson = R"gbnf(root ::= object
value ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [1-9] [0-9]{0,15})? ws
ws ::= | " " | "\n" [ \t]{0,20}
)gbnf";

class LlamaGrammarTest : public ::testing::TestWithParam<const char*> {};

TEST_P(LlamaGrammarTest, TheHostsGrammarsAgreeWithTheEngines) {
  const std::filesystem::path file = std::filesystem::path{SKERRY_TEST_VOCABULARIES} / GetParam();
  if (!std::filesystem::exists(file)) {
    GTEST_SKIP() << file << " comes with the pinned engine only";
  }
  llama_backend_init();
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  const std::unique_ptr<llama_model, FreeModel> model{
      llama_model_load_from_file(file.c_str(), params)};
  ASSERT_NE(model, nullptr);
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const std::int32_t size = llama_vocab_n_tokens(vocab);
  VocabularyEngine engine{vocab};
  auto vocabulary = Vocabulary::read(engine, static_cast<std::uint32_t>(size));
  ASSERT_TRUE(vocabulary);
  const char* const grammars[] = {
      kJson,
      "root ::= [a-zäöü ]{3,40} (\".\" | \"!\"{1,3})",
      "root ::= expr (\"=\" expr)*\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | \"(\" expr "
      "\")\"",
      "root ::= (\"日本\" | [ぁ-ん] | [^a-z\\n])+ \"end\"?",
      "root ::= \" yes\" | \" no\" | \" maybe\" (\" not\")?",
  };
  std::mt19937 random{11};
  for (const char* const grammar : grammars) {
    auto ours = Constraint::make(grammar, *vocabulary);
    ASSERT_TRUE(ours) << ours.error().message();
    const std::unique_ptr<llama_sampler, FreeSampler> theirs{
        llama_sampler_init_grammar(vocab, grammar, "root")};
    ASSERT_NE(theirs, nullptr) << grammar;
    for (int step = 0; step < 20; ++step) {
      std::vector<llama_token_data> data;
      for (std::int32_t token = 0; token < size; ++token) {
        data.push_back({token, 1.0F, 0.0F});
      }
      llama_token_data_array all{data.data(), data.size(), -1, false};
      llama_sampler_apply(theirs.get(), &all);
      auto allowed = (*ours)->allowed();
      ASSERT_TRUE(allowed) << allowed.error().message();
      std::vector<std::int32_t> open;
      for (std::size_t i = 0; i < all.size; ++i) {
        const auto token = all.data[i].id;
        const bool end = llama_vocab_is_eog(vocab, token);
        const std::string_view bytes = (*vocabulary)->bytes(token);
        if (!end && (bytes.empty() || bytes.front() == '\0')) {
          continue;  // the engine answers a control token whose name fits, and never a NUL
        }
        const bool may = (*allowed)[static_cast<std::size_t>(token)] != 0;
        // The engine also takes bytes that can never become UTF-8.
        const bool theirs_may = all.data[i].logit > 0;
        if (is_utf8((*vocabulary)->bytes(token)) || may) {
          ASSERT_EQ(may, theirs_may) << "\"" << (*vocabulary)->bytes(token) << "\"";
        }
        if (may && !end) {
          open.push_back(token);
        }
      }
      if (open.empty()) {
        break;
      }
      const std::int32_t next = open[random() % open.size()];
      llama_sampler_accept(theirs.get(), next);
      ASSERT_TRUE((*ours)->accept(next));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies,
                         LlamaGrammarTest,
                         ::testing::Values("ggml-vocab-llama-spm.gguf",
                                           "ggml-vocab-llama-bpe.gguf",
                                           "ggml-vocab-qwen2.gguf"));

}  // namespace
}  // namespace skerry::runtime
