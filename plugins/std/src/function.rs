//! The functions: their names, the words that people may mean them by, and what arguments they take. Knows no types.

/// A function of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `count`
    Count,
    /// `count_if`
    CountIf,
    /// `sum`
    Sum,
    /// `try_sum`
    TrySum,
    /// `avg`
    Avg,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `min_by`
    MinBy,
    /// `max_by`
    MaxBy,
    /// `first`
    First,
    /// `last`
    Last,
    /// `any_value`
    AnyValue,
    /// `bool_and`
    BoolAnd,
    /// `bool_or`
    BoolOr,
    /// `collect_list`
    CollectList,
    /// `collect_set`
    CollectSet,
    /// `approx_count_distinct`
    ApproxCountDistinct,
    /// `approx_percentile`
    ApproxPercentile,
    /// `stddev`, `stddev_samp`
    Stddev,
    /// `stddev_pop`
    StddevPop,
    /// `variance`, `var_samp`
    Variance,
    /// `var_pop`
    VarPop,
    /// `skewness`
    Skewness,
    /// `kurtosis`
    Kurtosis,
    /// `corr`
    Corr,
    /// `covar_samp`
    CovarSamp,
    /// `covar_pop`
    CovarPop,
}

/// What may stand behind the column of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    /// A second column.
    Column,
    /// `ignore_nulls`
    IgnoreNulls,
    /// How many values are kept, and what becomes of the others.
    Limit,
    /// Parts of one.
    Percentages,
}

impl Function {
    /// Every function, in the order in which people are told of them.
    pub const ALL: [Self; 27] = [
        Self::Count,
        Self::CountIf,
        Self::Sum,
        Self::TrySum,
        Self::Avg,
        Self::Min,
        Self::Max,
        Self::MinBy,
        Self::MaxBy,
        Self::First,
        Self::Last,
        Self::AnyValue,
        Self::BoolAnd,
        Self::BoolOr,
        Self::CollectList,
        Self::CollectSet,
        Self::ApproxCountDistinct,
        Self::ApproxPercentile,
        Self::Stddev,
        Self::StddevPop,
        Self::Variance,
        Self::VarPop,
        Self::Skewness,
        Self::Kurtosis,
        Self::Corr,
        Self::CovarSamp,
        Self::CovarPop,
    ];

    /// What expressions call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.words().first().copied().unwrap_or_default()
    }

    /// The function of that name.
    ///
    /// # Errors
    /// There is none: which are there, or which was meant.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = |function: &Self| function.names().contains(&name);
        if let Some(function) = Self::ALL.into_iter().find(found) {
            return Ok(function);
        }
        let likeness = |word: &str| strsim::jaro_winkler(&name.to_lowercase(), word);
        let nearest = Self::ALL.into_iter().flat_map(|function| function.words().iter().map(move |word| (likeness(word), function)));
        Err(match nearest.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((likeness, nearest)) if likeness > 0.8 => format!("no function `{name}`: did you mean `{}`?", nearest.name()),
            _ => format!("no function `{name}`: there are {}", Self::ALL.map(|function| format!("`{}`", function.name())).join(", ")),
        })
    }

    /// What may follow its first column.
    pub(crate) fn takes(self) -> Takes {
        match self {
            Self::MinBy | Self::MaxBy | Self::Corr | Self::CovarSamp | Self::CovarPop => Takes::Column,
            Self::First | Self::Last | Self::AnyValue => Takes::IgnoreNulls,
            Self::CollectList | Self::CollectSet => Takes::Limit,
            Self::ApproxPercentile => Takes::Percentages,
            _ => Takes::Nothing,
        }
    }

    /// Whether it can look at each value once.
    pub(crate) fn takes_distinct(self) -> bool {
        matches!(self, Self::Count | Self::Sum | Self::TrySum | Self::Avg)
    }

    /// Names that are accepted: its own, and what Spark calls it as well.
    fn names(self) -> &'static [&'static str] {
        let names = match self {
            Self::Stddev | Self::Variance => 2,
            _ => 1,
        };
        self.words().get(..names).unwrap_or_default()
    }

    /// Words that people may mean it by, its name first.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Count => &["count", "number", "count_distinct"],
            Self::CountIf => &["count_if", "count_where"],
            Self::Sum => &["sum", "total", "sum_distinct"],
            Self::TrySum => &["try_sum"],
            Self::Avg => &["avg", "average", "mean"],
            Self::Min => &["min", "minimum", "least", "lowest"],
            Self::Max => &["max", "maximum", "greatest", "highest"],
            Self::MinBy => &["min_by", "argmin", "arg_min"],
            Self::MaxBy => &["max_by", "argmax", "arg_max"],
            Self::First => &["first", "first_value", "first_ignore_nulls"],
            Self::Last => &["last", "last_value", "last_ignore_nulls"],
            Self::AnyValue => &["any_value", "arbitrary"],
            Self::BoolAnd => &["bool_and", "every", "logical_and"],
            Self::BoolOr => &["bool_or", "some", "any", "logical_or"],
            Self::CollectList => &["collect_list", "array_agg", "list"],
            Self::CollectSet => &["collect_set", "set"],
            Self::ApproxCountDistinct => &["approx_count_distinct", "hll"],
            Self::ApproxPercentile => &["approx_percentile", "percentile", "percentile_approx", "median", "quantile"],
            Self::Stddev => &["stddev", "stddev_samp", "std", "standard_deviation"],
            Self::StddevPop => &["stddev_pop"],
            Self::Variance => &["variance", "var_samp", "var"],
            Self::VarPop => &["var_pop", "variance_pop"],
            Self::Skewness => &["skewness"],
            Self::Kurtosis => &["kurtosis"],
            Self::Corr => &["corr", "correlation"],
            Self::CovarSamp => &["covar_samp", "covariance"],
            Self::CovarPop => &["covar_pop"],
        }
    }
}
