#include "skerry/registry/model_reference.hpp"

#include <gtest/gtest.h>

namespace skerry::registry {
namespace {

TEST(ModelReference, ReadsEveryForm) {
  struct Row {
    const char* text;
    const char* slot;
    const char* model;
    const char* version;
    const char* variant;
  };
  const Row rows[] = {
      {"default", "default", "/", "", ""},
      {"default@q8_0", "default", "/", "", "q8_0"},
      {"acme/log-triage", "", "acme/log-triage", "", ""},
      {"acme/log-triage:1.2.0", "", "acme/log-triage", "1.2.0", ""},
      {"acme/log-triage:1.2.0-rc.1@q4_k_m", "", "acme/log-triage", "1.2.0-rc.1", "q4_k_m"},
      {"acme/log-triage@onnx-int8", "", "acme/log-triage", "", "onnx-int8"},
  };
  for (const auto& row : rows) {
    const auto reference = ModelReference::parse(row.text);
    ASSERT_TRUE(reference) << row.text;
    EXPECT_EQ(reference->slot.str(), row.slot);
    EXPECT_EQ(reference->model.to_string(), row.model);
    EXPECT_EQ(reference->version, row.version);
    EXPECT_EQ(reference->variant, row.variant);
    EXPECT_EQ(reference->to_string(), row.text);
  }
}

TEST(ModelReference, RefusesOtherTextAndSaysWhy) {
  struct Row {
    std::string text;
    const char* why;
  };
  const Row rows[] = {{"", "1 to 64 characters"},
                      {"a/b/c", "not one of"},
                      {"/b", "team"},
                      {"a/", "model name"},
                      {"default:1.0.0", "a slot has no version"},
                      {"a/b:1.0", "three numbers"},
                      {"a/b@", "variant"},
                      {"a/b@q8@q4", "not one of"},
                      {"../etc/passwd", "must start with"},
                      {"a/..", "must start with"},
                      {"A/b", "must start with"},
                      {std::string("a/b\0c", 5), "not one of"},
                      {std::string(400, 'a'), "longer than 320"}};
  for (const auto& row : rows) {
    const auto reference = ModelReference::parse(row.text);
    ASSERT_FALSE(reference) << row.text;
    EXPECT_EQ(reference.error().code(), Error::Code::kInvalidArgument);
    EXPECT_NE(reference.error().message().find(row.why), std::string::npos)
        << reference.error().message();
  }
}

}  // namespace
}  // namespace skerry::registry
