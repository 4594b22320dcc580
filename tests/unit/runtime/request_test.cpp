#include "skerry/runtime/request.hpp"

#include <gtest/gtest.h>

namespace skerry::runtime {
namespace {

TEST(Tensor, ShapeAndBytesMustAgree) {
  Tensor tensor{
      .name = "x", .type = DataType::kFp32, .shape = {2, 3}, .data = std::string(24, '\0')};
  EXPECT_TRUE(check_tensor(tensor));
  tensor.data.pop_back();
  const auto checked = check_tensor(tensor);
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message().find("\"x\""), std::string::npos);
}

TEST(Tensor, HostileShapesAreRefused) {
  const auto refused = [](std::vector<std::int64_t> shape) {
    return !check_tensor(
        Tensor{.name = "x", .type = DataType::kFp32, .shape = std::move(shape), .data = ""});
  };
  EXPECT_TRUE(refused({-1}));
  EXPECT_TRUE(refused({std::int64_t{1} << 62, 16}));
  EXPECT_TRUE(refused({std::int64_t{1} << 62}));  // times four overflows
  EXPECT_TRUE(refused({1, 1, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_FALSE(refused({0}));
}

TEST(Tensor, BytesElementsCarryTheirLengths) {
  Tensor tensor{.name = "s", .type = DataType::kBytes, .shape = {2}, .data = {}};
  tensor.data = std::string{"\2\0\0\0ab\0\0\0\0", 10};
  EXPECT_TRUE(check_tensor(tensor));
  tensor.data += 'x';
  EXPECT_FALSE(check_tensor(tensor));
  tensor.data = std::string{"\xff\xff\xff\xff", 4};
  tensor.shape = {1};
  EXPECT_FALSE(check_tensor(tensor));
}

TEST(DataTypes, NamesGoBothWays) {
  for (int value = 1; value <= 14; ++value) {
    const auto type = static_cast<DataType>(value);
    const auto parsed = parse_data_type(to_string(type));
    ASSERT_TRUE(parsed) << to_string(type);
    EXPECT_EQ(*parsed, type);
  }
  EXPECT_FALSE(parse_data_type("FLOAT"));
}

TEST(Sampling, EachParameterIsBounded) {
  EXPECT_TRUE(check_sampling({}));
  EXPECT_FALSE(check_sampling({.temperature = -1}));
  EXPECT_FALSE(check_sampling({.temperature = std::numeric_limits<float>::quiet_NaN()}));
  EXPECT_FALSE(check_sampling({.top_p = 0}));
  EXPECT_FALSE(check_sampling({.top_p = 1.5F}));
  EXPECT_FALSE(check_sampling({.min_p = 1}));
  EXPECT_FALSE(check_sampling({.repeat_penalty = 0}));
  EXPECT_TRUE(check_sampling({.frequency_penalty = -2, .presence_penalty = 2}));
  EXPECT_FALSE(check_sampling({.frequency_penalty = 2.1F}));
  EXPECT_FALSE(check_sampling({.presence_penalty = -2.1F}));
  EXPECT_FALSE(check_sampling({.presence_penalty = std::numeric_limits<float>::quiet_NaN()}));
}

}  // namespace
}  // namespace skerry::runtime
