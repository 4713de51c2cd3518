create model risk
options (
  model_type = 'logistic_reg',
  input_label_cols = ['y'],
  l2_reg = 1.0,
  data_split_method = 'no_split'
)
as
select y, x0, x1, x2, x3, x4, x5, x6, x7, x8, x9 from {{ source('bench', 'rows') }}
