#pragma once

// A parsed chat template. Trees are as deep as TemplateLimits::parse_depth allows.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "value.hpp"

namespace skerry::runtime::jinja {

enum class ExprKind : std::uint8_t {
  kLiteral,    // literal
  kName,       // name
  kList,       // kids
  kDict,       // kids: key, value, key, value …
  kMember,     // kids[0] . name
  kIndex,      // kids[0] [ kids[1] ]
  kSlice,      // kids[0] [ kids[1] : kids[2] : kids[3] ], each may be null
  kCall,       // kids[0] ( kids[1…], named )
  kFilter,     // kids[0] | name ( kids[1…], named )
  kTest,       // kids[0] is name ( kids[1…] )
  kUnary,      // name: "not", "-", "+"
  kBinary,     // name: "+", "and", …
  kCompare,    // kids[0] ops[0] kids[1] ops[1] …
  kCondition,  // kids[0] if kids[1] else kids[2], which may be null
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  std::uint32_t line = 1;
  std::uint32_t depth = 1;
  std::string name;
  Value literal;
  std::vector<ExprPtr> kids;
  std::vector<std::pair<std::string, ExprPtr>> named;
  std::vector<std::string> ops;
};

enum class StmtKind : std::uint8_t {
  kText,      // text
  kOutput,    // value
  kIf,        // branches
  kFor,       // targets in value if condition: body, otherwise
  kSet,       // targets = value
  kSetBlock,  // targets[0] = filters applied to the body
  kFilter,    // filters applied to the body
  kMacro,     // macro
  kCall,      // value is a call whose macro may call `caller`: macro
  kBreak,
  kContinue,
};

struct Stmt;
using Block = std::vector<std::unique_ptr<Stmt>>;

struct Branch {
  ExprPtr condition;  // null: else
  Block body;
};

struct Macro {
  std::string name;
  std::vector<std::pair<std::string, ExprPtr>> parameters;  // with defaults, or null
  Block body;
};

struct Stmt {
  StmtKind kind = StmtKind::kText;
  std::uint32_t line = 1;
  Value text;
  ExprPtr value;
  ExprPtr condition;
  // Names; for kSet also "space.member".
  std::vector<std::string> targets;
  std::vector<Branch> branches;
  Block body;
  Block otherwise;
  std::vector<ExprPtr> filters;  // kFilter expressions whose kids[0] is null
  std::unique_ptr<Macro> macro;
};

struct Program {
  Block body;
};

// Throws ParseFault.
std::unique_ptr<Program> parse_program(std::string_view source, const TemplateLimits& limits);

}  // namespace skerry::runtime::jinja
