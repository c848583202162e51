-- Nothing: a number that another branch fills.
select 1;
